//! Which addresses clients are told, once the ports are known.

use hallows_config::Listener;

/// A listener and the port it got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// As it was configured.
    pub listener: Listener,
    /// The port it listens on, which differs from the configured one where that is 0.
    pub port: u16,
}

impl Bound {
    /// The listener with its real port.
    #[must_use]
    pub fn actual(&self) -> Listener {
        Listener {
            port: self.port,
            ..self.listener.clone()
        }
    }
}

/// Host and port that clients of each listener are told, in the order of the listeners.
///
/// The advertised listener of the same name counts; where its host is absent or stands for every interface, this
/// machine's name is told, and where its port is 0, the port the listener got.
#[must_use]
pub fn advertised(bound: &[Bound], advertised: &[Listener], machine: &str) -> Vec<(String, u16)> {
    let of = |bound: &Bound| {
        let told = advertised.iter().find(|told| told.name == bound.listener.name);
        let told = told.unwrap_or(&bound.listener);
        let host = match &told.host {
            Some(host) if !told.is_wildcard() => host.clone(),
            _ => machine.to_owned(),
        };
        let port = if told.port == 0 { bound.port } else { told.port };
        (host, port)
    };
    bound.iter().map(of).collect()
}

/// What a client on this machine would write to reach a listener.
#[must_use]
pub fn connectable(bound: &Bound) -> String {
    let host = match &bound.listener.host {
        Some(host) if !bound.listener.is_wildcard() => host.as_str(),
        _ => "localhost",
    };
    if host.contains(':') {
        format!("[{host}]:{}", bound.port)
    } else {
        format!("{host}:{}", bound.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str, host: Option<&str>, port: u16) -> Listener {
        Listener {
            name: name.to_owned(),
            host: host.map(str::to_owned),
            port,
        }
    }

    fn check(listen: Listener, tell: Option<Listener>, told: (&str, u16), reached: &str) {
        let bound = Bound {
            listener: listen,
            port: 4000,
        };
        let tell: Vec<_> = tell.into_iter().collect();
        let expected = (told.0.to_owned(), told.1);
        assert_eq!(connectable(&bound), reached);
        assert_eq!(advertised(&[bound], &tell, "machine"), [expected]);
    }

    #[test]
    fn clients_are_told_what_they_can_reach() {
        let local = || listener("PLAINTEXT", Some("127.0.0.1"), 0);
        check(local(), None, ("127.0.0.1", 4000), "127.0.0.1:4000");
        check(local(), Some(local()), ("127.0.0.1", 4000), "127.0.0.1:4000");
        check(listener("A", None, 4000), None, ("machine", 4000), "localhost:4000");
        check(
            listener("A", Some("0.0.0.0"), 4000),
            None,
            ("machine", 4000),
            "localhost:4000",
        );
        check(listener("A", Some("::1"), 0), None, ("::1", 4000), "[::1]:4000");
        check(
            local(),
            Some(listener("PLAINTEXT", Some("public"), 9)),
            ("public", 9),
            "127.0.0.1:4000",
        );
        check(
            local(),
            Some(listener("OTHER", Some("public"), 9)),
            ("127.0.0.1", 4000),
            "127.0.0.1:4000",
        );
    }
}
