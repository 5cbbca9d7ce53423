//! What exec, attach and portForward are asked for (`k8s.io/cri-streaming`, `remotecommand` and `portforward`).

use super::{query::Query, refused::Refused};

/// Which streams are wanted, and whether with a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Streams {
    /// Standard input.
    pub(crate) stdin: bool,
    /// Standard output.
    pub(crate) stdout: bool,
    /// Standard error; never with a terminal.
    pub(crate) stderr: bool,
    /// A terminal.
    pub(crate) tty: bool,
}

impl Streams {
    /// Reads `input`, `output`, `error` and `tty`.
    pub(crate) fn of(query: &Query) -> Result<Self, Refused> {
        let tty = query.is_one("tty");
        let (stdin, stdout) = (query.is_one("input"), query.is_one("output"));
        let stderr = query.is_one("error") && !tty;
        if !stdin && !stdout && !stderr {
            return Err(Refused::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        Ok(Self { stdin, stdout, stderr, tty })
    }
}

/// The ports of a request to forward some. Only a WebSocket names them before; SPDY names one per stream.
pub(crate) fn ports(query: &Query, is_websocket: bool) -> Result<Vec<u16>, Refused> {
    if !is_websocket {
        return Ok(Vec::new());
    }
    if !query.has("port") {
        return Err(Refused::bad_request("query parameter \"port\" is required"));
    }
    let mut ports = Vec::new();
    for text in query.all("port") {
        if text.is_empty() {
            return Err(Refused::bad_request("query parameter \"port\" cannot be empty"));
        }
        for one in text.split(',') {
            ports.push(port(one, text)?);
        }
    }
    Ok(ports)
}

fn port(one: &str, text: &str) -> Result<u16, Refused> {
    match one.parse() {
        Ok(0) => Err(Refused::bad_request(format!("port {text:?} must be > 0"))),
        Ok(port) => Ok(port),
        Err(error) => Err(Refused::bad_request(format!("unable to parse {text:?} as a port: {error}"))),
    }
}

/// Whether the headers ask for a WebSocket.
pub(crate) fn is_websocket(connection: &str, upgrade: &str) -> bool {
    is_upgrade(connection) && upgrade.eq_ignore_ascii_case("websocket")
}

/// Whether a `Connection` header asks for another protocol.
pub(crate) fn is_upgrade(connection: &str) -> bool {
    connection.to_ascii_lowercase().contains("upgrade")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_one_stream_is_asked_for() {
        let streams = |stdin, stdout, stderr, tty| Some(Streams { stdin, stdout, stderr, tty });
        let cases = [
            ("a command's output", "output=1&error=1", streams(false, true, true, false)),
            ("a shell", "input=1&output=1&tty=1", streams(true, true, false, true)),
            ("a terminal has no standard error", "output=1&error=1&tty=1", streams(false, true, false, true)),
            ("nothing", "", None),
            ("nothing but standard error on a terminal", "error=1&tty=1", None),
            ("only 1 is yes", "output=true", None),
        ];
        for (name, query, want) in cases {
            assert_eq!(Streams::of(&Query::parse(query)).ok(), want, "{name}");
        }
    }

    #[test]
    fn a_websocket_names_its_ports() {
        type Row = (&'static str, &'static str, bool, Result<&'static [u16], &'static str>);
        let cases: &[Row] = &[
            ("SPDY names none", "", false, Ok(&[])),
            ("one", "port=80", true, Ok(&[80])),
            ("several", "port=80,81&port=82", true, Ok(&[80, 81, 82])),
            ("none", "", true, Err("query parameter \"port\" is required")),
            ("an empty one", "port=", true, Err("query parameter \"port\" cannot be empty")),
            ("zero", "port=0", true, Err("port \"0\" must be > 0")),
            ("too large", "port=65536", true, Err("unable to parse \"65536\" as a port")),
        ];
        for (name, query, is_websocket, want) in cases {
            match (ports(&Query::parse(query), *is_websocket), want) {
                (Ok(ports), Ok(want)) => assert_eq!(ports, *want, "{name}"),
                (Err(refused), Err(want)) => assert!(refused.text.starts_with(want), "{name}: {refused:?}"),
                (got, want) => panic!("{name}: {got:?} instead of {want:?}"),
            }
        }
    }

    #[test]
    fn an_upgrade_is_known_by_its_headers() {
        assert!(is_websocket("keep-alive, Upgrade", "WebSocket"));
        assert!(!is_websocket("Upgrade", "SPDY/3.1"));
        assert!(!is_websocket("close", "websocket"));
    }
}
