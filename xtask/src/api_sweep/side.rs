//! One broker under comparison: its connections, what it advertises, and the transcript of what it answered.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::codec::{decode, encode, put_varint};
use super::normal::{Symbols, normalise};
use super::schema::{Api, Schema};

/// The longest wait for an answer. Longer than any wait that a scenario asks for.
const ANSWER_WAIT: Duration = Duration::from_secs(8);
/// How often a coordinator that is still loading, or a fresh topic, is asked again.
const RETRIES_MAX: u32 = 100;
/// Between two of those.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Errors that pass by themselves: the coordinator is loading, absent or elsewhere, or a transaction is ending.
const PASSING_ERRORS: [i64; 4] = [14, 15, 16, 51];
/// What the sweep calls itself.
const CLIENT_ID: &str = "sweep";
/// The largest answer the sweep reads.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The connection of steps that name none.
pub(crate) const MAIN: &str = "main";

/// One question and its answer in comparable form.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Step {
    /// What it is about.
    pub(crate) label: String,
    /// The API asked.
    pub(crate) api: String,
    /// Its version.
    pub(crate) version: i16,
    /// The answer.
    pub(crate) answer: Value,
}

/// One scenario at one version of its API.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Block {
    /// The scenario.
    pub(crate) scenario: String,
    /// The API it is about.
    pub(crate) api: String,
    /// The version of that API.
    pub(crate) version: i16,
    /// `None` when the broker does not advertise the version.
    pub(crate) steps: Option<Vec<Step>>,
}

struct Connection {
    stream: TcpStream,
    correlation_id: i32,
    /// What was sent and not yet answered, oldest first.
    waiting: Vec<(String, i16, i32)>,
}

/// What came of a question.
enum Came {
    Answer(Value),
    Closed,
    Nothing,
}

/// One broker.
pub(crate) struct Side<'a> {
    pub(crate) schema: &'a Schema,
    address: SocketAddr,
    advertised: BTreeMap<i16, (i16, i16)>,
    /// How long a change takes to reach all parts of the broker after it was answered.
    settle: Duration,
    connections: BTreeMap<String, Connection>,
    symbols: Symbols,
    subject: String,
    prefix: String,
    steps: Vec<Step>,
}

impl<'a> Side<'a> {
    /// Connects and asks what is served.
    pub(crate) fn connect(schema: &'a Schema, address: SocketAddr, settle: Duration) -> Result<Self> {
        let mut side = Self {
            schema,
            address,
            advertised: BTreeMap::new(),
            settle,
            connections: BTreeMap::new(),
            symbols: Symbols::default(),
            subject: String::new(),
            prefix: String::new(),
            steps: Vec::new(),
        };
        let told = side.quiet("ApiVersions", 0, &json!({}))?;
        for api in told["ApiKeys"].as_array().context("no list of APIs")? {
            let number = |name: &str| api[name].as_i64().and_then(|number| i16::try_from(number).ok());
            if let (Some(key), Some(min), Some(max)) = (number("ApiKey"), number("MinVersion"), number("MaxVersion")) {
                side.advertised.insert(key, (min, max));
            }
        }
        Ok(side)
    }

    /// The versions of every API that the broker advertises.
    pub(crate) fn advertised(&self) -> &BTreeMap<i16, (i16, i16)> {
        &self.advertised
    }

    /// Whether a version of an API is advertised.
    pub(crate) fn serves(&self, api: &Api, version: i16) -> bool {
        let range = self.advertised.get(&api.key);
        range.is_some_and(|(min, max)| (*min..=*max).contains(&version))
    }

    /// Whether an API is advertised at a version, by name.
    pub(crate) fn serves_named(&self, api: &str, version: i16) -> bool {
        self.serves(self.schema.api(api), version)
    }

    /// Runs one scenario at one version.
    pub(crate) fn block(
        &mut self,
        name: &str,
        api: &str,
        version: i16,
        run: fn(&mut Side<'_>, i16) -> Result<()>,
    ) -> Block {
        let mut block = Block {
            scenario: name.to_owned(),
            api: api.to_owned(),
            version,
            steps: None,
        };
        if !self.serves_named(api, version) {
            return block;
        }
        self.connections.clear();
        self.symbols = Symbols::default();
        self.subject = api.to_owned();
        self.prefix = format!("{name}-{version}");
        if let Err(error) = run(self, version) {
            self.steps.push(Step {
                label: "the scenario cannot go on".to_owned(),
                api: api.to_owned(),
                version,
                answer: Value::from(format!("{error:#}")),
            });
        }
        block.steps = Some(std::mem::take(&mut self.steps));
        block
    }

    /// The API that the block is about.
    pub(crate) fn subject(&self) -> String {
        self.subject.clone()
    }

    /// A name of this block's own for a topic, group or client.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Waits until a change has reached all parts of the broker.
    pub(crate) fn settle(&self) {
        std::thread::sleep(self.settle);
    }

    /// Asks and keeps the answer in the transcript; gives it back as it came.
    pub(crate) fn ask(&mut self, label: &str, api: &str, version: i16, body: &Value) -> Result<Value> {
        self.ask_on(MAIN, label, api, version, body)
    }

    /// The same on another connection.
    pub(crate) fn ask_on(
        &mut self,
        connection: &str,
        label: &str,
        api: &str,
        version: i16,
        body: &Value,
    ) -> Result<Value> {
        for _ in 0..RETRIES_MAX {
            self.post(connection, api, version, body)?;
            let came = self.receive(connection)?;
            if let Came::Answer(answer) = &came
                && passes_by_itself(answer)
            {
                std::thread::sleep(RETRY_PAUSE);
                continue;
            }
            return Ok(self.keep(label, api, version, came));
        }
        bail!("{label}: {api} version {version} never gets past a passing error")
    }

    /// Sends without waiting for the answer; [`Self::take`] does that.
    pub(crate) fn post(&mut self, connection: &str, api: &str, version: i16, body: &Value) -> Result<()> {
        let schema = self.schema;
        let bytes = encode(&schema.api(api).request, version, body)?;
        self.send(connection, api, version, &bytes)
    }

    /// Waits for the answer to the oldest unanswered question of a connection.
    pub(crate) fn take(&mut self, connection: &str, label: &str) -> Result<Value> {
        let waiting = self
            .connections
            .get(connection)
            .and_then(|connection| connection.waiting.first());
        // The connection ended with an answer before: nothing of what was sent behind it is answered.
        let Some((api, version, _)) = waiting.cloned() else {
            let api = self.subject();
            return Ok(self.keep(label, &api, 0, Came::Closed));
        };
        let came = self.receive(connection)?;
        Ok(self.keep(label, &api, version, came))
    }

    /// Sends bytes that need not be a request, and keeps what comes back.
    pub(crate) fn ask_raw(&mut self, label: &str, api: &str, version: i16, body: &[u8]) -> Result<Value> {
        self.send(MAIN, api, version, body)?;
        self.take(MAIN, label)
    }

    /// The same without keeping it.
    pub(crate) fn ask_raw_quiet(&mut self, api: &str, version: i16, body: &[u8]) -> Result<Value> {
        self.send(MAIN, api, version, body)?;
        match self.receive(MAIN)? {
            Came::Answer(answer) => Ok(answer),
            Came::Closed => Ok(Value::from("connection closed")),
            Came::Nothing => Ok(Value::from("no answer")),
        }
    }

    /// Sends what has no answer.
    pub(crate) fn tell(&mut self, api: &str, version: i16, body: &Value) -> Result<()> {
        self.post(MAIN, api, version, body)?;
        let connection = self.connections.get_mut(MAIN).context("just used")?;
        connection.waiting.pop();
        Ok(())
    }

    /// Asks for what only prepares; the answer is not compared.
    pub(crate) fn quiet(&mut self, api: &str, version: i16, body: &Value) -> Result<Value> {
        for _ in 0..RETRIES_MAX {
            self.post("quiet", api, version, body)?;
            match self.receive("quiet")? {
                Came::Answer(answer) if passes_by_itself(&answer) => std::thread::sleep(RETRY_PAUSE),
                Came::Answer(answer) => {
                    // Ids get their symbols in the order they are handed out.
                    normalise(api, &answer, &mut self.symbols);
                    return Ok(answer);
                }
                Came::Closed | Came::Nothing => bail!("{api} version {version} was not answered"),
            }
        }
        bail!("{api} version {version} never gets past a passing error")
    }

    /// Keeps something that was seen besides answers.
    pub(crate) fn note(&mut self, label: &str, api: &str, version: i16, seen: impl Into<Value>) {
        self.steps.push(Step {
            label: label.to_owned(),
            api: api.to_owned(),
            version,
            answer: shorten(&seen.into(), &format!("{}-", self.prefix)),
        });
    }

    fn keep(&mut self, label: &str, api: &str, version: i16, came: Came) -> Value {
        let (raw, comparable) = match came {
            Came::Answer(answer) => {
                let comparable = normalise(api, &answer, &mut self.symbols);
                (answer, comparable)
            }
            Came::Closed => (Value::Null, Value::from("connection closed")),
            Came::Nothing => (Value::Null, Value::from("no answer")),
        };
        self.note(label, api, version, comparable);
        raw
    }

    fn connection(&mut self, name: &str) -> Result<&mut Connection> {
        if !self.connections.contains_key(name) {
            let stream = TcpStream::connect(self.address).context("the broker does not listen")?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_WAIT))?;
            let connection = Connection {
                stream,
                correlation_id: 0,
                waiting: Vec::new(),
            };
            self.connections.insert(name.to_owned(), connection);
        }
        self.connections.get_mut(name).context("just made")
    }

    fn send(&mut self, connection: &str, api: &str, version: i16, body: &[u8]) -> Result<()> {
        let schema = self.schema;
        let api = schema.api(api);
        let client = self.name(CLIENT_ID);
        let connection = self.connection(connection)?;
        connection.correlation_id += 1;
        let mut frame = api.key.to_be_bytes().to_vec();
        frame.extend(version.to_be_bytes());
        frame.extend(connection.correlation_id.to_be_bytes());
        frame.extend(i16::try_from(client.len())?.to_be_bytes());
        frame.extend(client.as_bytes());
        if api.is_flexible(version) {
            put_varint(&mut frame, 0);
        }
        frame.extend(body);
        connection
            .waiting
            .push((api.name.clone(), version, connection.correlation_id));
        let length = u32::try_from(frame.len())?.to_be_bytes();
        // A broker may have closed already; reading finds out.
        let _ = connection.stream.write_all(&[&length, frame.as_slice()].concat());
        Ok(())
    }

    fn receive(&mut self, name: &str) -> Result<Came> {
        let schema = self.schema;
        let connection = self.connection(name)?;
        let (api, version, correlation_id) = connection.waiting.remove(0);
        let frame = match read_frame(&mut connection.stream) {
            Ok(frame) => frame,
            Err(error) => {
                self.connections.remove(name);
                let silent = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                return Ok(if silent { Came::Nothing } else { Came::Closed });
            }
        };
        let answered = frame.get(..4).context("an answer without a header")?;
        if answered != correlation_id.to_be_bytes() {
            bail!("the answer to another request");
        }
        let api = schema.api(&api);
        // ApiVersions answers in version 0 what it does not know.
        let known = (api.response.versions.first..=api.response.versions.last).contains(&version);
        let version = if api.name == "ApiVersions" && (!known || frame.get(4..6) == Some(&[0, 35])) {
            0
        } else {
            version
        };
        let header = if api.name != "ApiVersions" && api.is_flexible(version) {
            5
        } else {
            4
        };
        let body = frame.get(header..).context("an answer without a header")?;
        let answer = decode(&api.response, version, body)
            .unwrap_or_else(|error| Value::from(format!("undecodable answer: {error:#}")));
        Ok(Came::Answer(answer))
    }
}

fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES_MAX {
        return Err(std::io::Error::other("an answer beyond all bounds"));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// Puts a sign for the names of the block's own, so that versions that answer the same read the same.
fn shorten(answer: &Value, prefix: &str) -> Value {
    match answer {
        Value::String(text) => Value::from(text.replace(prefix, "~")),
        Value::Array(items) => items.iter().map(|item| shorten(item, prefix)).collect(),
        Value::Object(fields) => {
            let shortened = fields
                .iter()
                .map(|(name, value)| (name.clone(), shorten(value, prefix)));
            Value::Object(shortened.collect())
        }
        other => other.clone(),
    }
}

fn passes_by_itself(answer: &Value) -> bool {
    match answer {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            name == "ErrorCode" && value.as_i64().is_some_and(|code| PASSING_ERRORS.contains(&code))
                || passes_by_itself(value)
        }),
        Value::Array(items) => items.iter().any(passes_by_itself),
        _ => false,
    }
}

/// What scenarios need before they can begin.
impl Side<'_> {
    /// Creates a topic that keeps its records for ever, and waits until it can be used. Gives its full name.
    pub(crate) fn topic(&mut self, name: &str, partitions: i32) -> Result<String> {
        self.topic_with(name, partitions, &[])
    }

    /// The same with settings.
    pub(crate) fn topic_with(&mut self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<String> {
        let name = self.name(name);
        let configs: Vec<Value> = [("retention.ms", "-1")]
            .iter()
            .chain(settings)
            .map(|(name, value)| json!({"Name": name, "Value": value}))
            .collect();
        let topic = json!({"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1, "Configs": configs});
        let answer = self.quiet("CreateTopics", 7, &json!({"Topics": [topic]}))?;
        let code = &answer["Topics"][0]["ErrorCode"];
        if code.as_i64() != Some(0) {
            bail!(
                "cannot create {name}: error {code}, {}",
                answer["Topics"][0]["ErrorMessage"]
            );
        }
        let id = answer["Topics"][0]["TopicId"].as_str().unwrap_or_default().to_owned();
        self.symbols.learn_topic(&id, &name);
        self.await_topic(&name, partitions)?;
        Ok(name)
    }

    /// Waits until all partitions of a topic can be used.
    pub(crate) fn await_topic(&mut self, name: &str, partitions: i32) -> Result<()> {
        let partitions: Vec<Value> = (0..partitions)
            .map(|index| json!({"PartitionIndex": index, "Timestamp": -1}))
            .collect();
        let body = json!({"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": partitions}]});
        let began = Instant::now();
        while began.elapsed() < ANSWER_WAIT {
            let answer = self.quiet("ListOffsets", 4, &body)?;
            let usable = |partition: &Value| partition["ErrorCode"].as_i64() == Some(0);
            if answer["Topics"][0]["Partitions"]
                .as_array()
                .is_some_and(|all| all.iter().all(usable))
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("{name} does not become usable")
    }

    /// The id of a topic by its full name.
    pub(crate) fn topic_id(&mut self, name: &str) -> Result<String> {
        let answer = self.quiet(
            "Metadata",
            10,
            &json!({"Topics": [{"Name": name}], "AllowAutoTopicCreation": false}),
        )?;
        let id = answer["Topics"][0]["TopicId"]
            .as_str()
            .context("no topic id")?
            .to_owned();
        self.symbols.learn_topic(&id, name);
        Ok(id)
    }

    /// Appends batches to one partition, each in a request of its own.
    pub(crate) fn fill(&mut self, topic: &str, partition: i32, batches: &[String]) -> Result<()> {
        for records in batches {
            let data = json!([{"Index": partition, "Records": records}]);
            let body = json!({"Acks": -1, "TimeoutMs": 5000, "TopicData": [{"Name": topic, "PartitionData": data}]});
            let answer = self.quiet("Produce", 9, &body)?;
            let code = &answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"];
            if code.as_i64() != Some(0) {
                bail!("cannot produce to {topic}: error {code}");
            }
        }
        Ok(())
    }

    /// A new producer id and its epoch.
    pub(crate) fn producer(&mut self) -> Result<(i64, i16)> {
        let body = json!({"TransactionalId": null, "TransactionTimeoutMs": 60000});
        let answer = self.quiet("InitProducerId", 1, &body)?;
        let epoch = answer["ProducerEpoch"].as_i64().context("no epoch")?;
        Ok((
            answer["ProducerId"].as_i64().context("no producer id")?,
            i16::try_from(epoch)?,
        ))
    }
}
