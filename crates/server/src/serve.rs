//! From the settings to running shards, and back to a clean stop.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hallows_broker::{Advertised, BootOptions, Shard};
use hallows_cli::serve::{Banner, Bound, ServeArguments, advertised};
use hallows_cli::{Exit, Failure, output};
use hallows_config::{BrokerConfig, Loaded};
use hallows_runtime::Disk;
use hallows_runtime::production::{PumpError, PumpHandle, RealDisk, Running, Settings, run};
use hallows_storage::Recovery;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{listen, log, machine, threads};

/// Threads of the pool that open, remove and sync files, besides those that compute.
const FILE_THREADS: usize = 2;
/// What shells report for a program ended by Ctrl-C.
const EXIT_INTERRUPTED: i32 = 130;

/// Runs a broker until it is told to stop.
pub(crate) fn serve(arguments: &ServeArguments) -> Result<Exit, Failure> {
    let started = Instant::now();
    log::start()?;
    let text = |word: OsString| word.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let mut config = told(arguments.load(environment)?);
    config.data_directory = told_directory(&config.data_directory);
    // Before anything is started: a signal that comes early is then a clean stop too.
    let signals = Signals::new([SIGINT, SIGTERM])?;
    machine::allow_open_files();
    let (sockets, bound) = listen::open(&config)?;
    let disk = RealDisk::open(&config.data_directory).map_err(|error| Failure::new(Exit::DataDirectory, error))?;
    tracing::info!(directory = %disk.root().display(), "{}", disk.probe());
    let disk = Arc::new(disk);
    let (running, banner) = start(&config, sockets, bound, &disk, started)?;
    stop_on_signals(signals, running.handle())?;
    // On a thread of its own: a reader that takes nothing must not hold up a stop.
    threads::spawn("banner", move || {
        if let Err(error) = output::line(&banner) {
            tracing::warn!(%error, "nobody reads what the start has to say");
        }
    })?;
    finish(running.join(), &*disk)
}

/// Says what there is to say about a configuration.
fn told(loaded: Loaded) -> BrokerConfig {
    if !loaded.warnings.0.is_empty() && tracing::enabled!(tracing::Level::WARN) {
        // Not a line of the log: it may be longer than one, and nothing of it may be left out as a repetition.
        log::say(&format!("warning: {}", loaded.warnings));
    }
    if !loaded.passed_over.is_empty() {
        let variables = loaded.passed_over.join(", ");
        tracing::debug!(variables, "variables that a service manager sets are no settings");
    }
    loaded.config
}

/// Recovers what is on the disk and starts the shards; gives what there is to say about it, too.
fn start(
    config: &BrokerConfig,
    sockets: Vec<TcpListener>,
    bound: Vec<Bound>,
    disk: &Arc<RealDisk>,
    started: Instant,
) -> Result<(Running<Shard>, Banner), Failure> {
    let options = BootOptions {
        shards: shard_count(config),
        advertised: told_to_clients(config, &bound),
        now: machine::now(),
        seed: machine::seed()?,
    };
    let shard_count = options.shards;
    let booted = hallows_broker::boot(Arc::clone(disk) as Arc<dyn Disk>, config.clone(), options)
        .map_err(|error| Failure::new(Exit::DataDirectory, error))?;
    let running = run(
        pump_settings(config),
        sockets,
        booted.shards,
        Arc::clone(disk) as Arc<dyn Disk>,
    )?;
    match running.disk_ring() {
        Ok(()) => tracing::info!("durable writes go through a ring of the kernel (io_uring)"),
        Err(why) => tracing::info!(%why, "durable writes go through threads"),
    }
    let banner = Banner {
        program: std::env::args().next().unwrap_or_else(|| "hallows".to_owned()),
        node_id: config.node_id,
        cluster_id: booted.cluster_id.to_string(),
        listeners: bound,
        data_directory: disk.root().canonicalize().unwrap_or_else(|_| disk.root().to_owned()),
        was_clean: booted.was_clean,
        durability: config.durability,
        shards: shard_count,
        took: started.elapsed(),
    };
    Ok((running, banner))
}

/// Clients are told an absolute path, as by Kafka: they have it from elsewhere, and give it back.
fn told_directory(configured: &str) -> String {
    std::path::absolute(configured).map_or_else(
        // Nothing that could be opened; opening says why.
        |_| configured.to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

fn shard_count(config: &BrokerConfig) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let count = match config.shards {
        0 => cores(),
        count => usize::try_from(count).unwrap_or(usize::MAX),
    };
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn told_to_clients(config: &BrokerConfig, bound: &[Bound]) -> Vec<Advertised> {
    let told = advertised(bound, &config.advertised_listeners, &machine::name());
    told.into_iter()
        .map(|(host, port)| Advertised {
            host: host.into(),
            port,
        })
        .collect()
}

fn pump_settings(config: &BrokerConfig) -> Settings {
    let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    Settings {
        connection_output_bytes_max: size(config.connection_output_bytes_max),
        connection_stall_timeout: Duration::from_millis(config.connection_stall_timeout_ms.into()),
        connection_idle_max: config
            .connection_idle_ms_max
            .map_or(Duration::MAX, Duration::from_millis),
        connections_max: size(config.connections_max),
        connections_per_ip_max: size(config.connections_per_ip_max),
        poll_spin: Duration::from_micros(config.poll_spin_us.into()),
        pool_threads: FILE_THREADS + size(config.compute_threads),
        message_ring_capacity: size(config.shard_messages_max),
        ..Settings::default()
    }
}

/// The first signal stops cleanly, the second at once: what was acknowledged is on the disk either way.
fn stop_on_signals(mut signals: Signals, handle: PumpHandle) -> io::Result<()> {
    threads::spawn("signals", move || {
        // Whatever ends this thread, nobody could stop the shards any more.
        let _stop = StopWhenDropped(handle.clone());
        let mut stopping = false;
        for _signal in signals.forever() {
            if stopping {
                signal_hook::low_level::exit(EXIT_INTERRUPTED);
            }
            stopping = true;
            tracing::info!("stopping; once more to end at once");
            handle.shutdown();
        }
    })
}

/// Stops the shards when it goes.
struct StopWhenDropped(PumpHandle);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

/// Says how it ended. After a panic nobody knows what is whole, so there is no mark of a clean stop.
fn finish(ended: Result<Vec<Shard>, PumpError>, disk: &dyn Disk) -> Result<Exit, Failure> {
    let shards = ended.map_err(|error| Failure::new(exit_of(&error), error))?;
    if threads::have_panicked() {
        return Ok(Exit::Panicked);
    }
    if !shards.iter().all(Shard::stopped_clean) {
        tracing::warn!("stopped, but not everything could be written; the next start recovers from the journal");
        return Ok(Exit::Failed);
    }
    Recovery::mark_clean(disk).map_err(|error| Failure::new(Exit::DataDirectory, error))?;
    tracing::info!("stopped cleanly");
    Ok(Exit::Done)
}

const fn exit_of(error: &PumpError) -> Exit {
    match error {
        PumpError::Panicked(_) | PumpError::PoolPanicked => Exit::Panicked,
        PumpError::ShardCount(_) => Exit::Usage,
        PumpError::Shard { .. } | PumpError::Start(_) => Exit::Failed,
    }
}
