//! A client that hides nothing: one request per connection, the answer as it came.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer, or what came of one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    pub(crate) fn token(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()["token"].as_str().expect("a token").to_owned()
    }
}

pub(crate) fn basic(user: &str, password: &str) -> (&'static str, String) {
    ("authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

pub(crate) fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

/// What every container runtime sends.
pub(crate) const ACCEPT: (&str, &str) = (
    "accept",
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json",
);

/// Opens a connection to `http://host:port`.
pub(crate) async fn connect(base: &str) -> TcpStream {
    TcpStream::connect(base.trim_start_matches("http://")).await.expect("a listener")
}

/// Sends a request line and headers, and reads until the end or an error of the connection.
pub(crate) async fn raw(
    base: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> (Vec<u8>, std::io::Result<()>) {
    let mut stream = connect(base).await;
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(name);
        request.push_str(": ");
        request.push_str(value);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await.map(|_| ());
    (bytes, end)
}

pub(crate) fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no end of head in {text}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(key, value)| (key.into(), value.into())).collect();
    Answer { status: status.expect("a status"), headers, body: body.to_owned() }
}

pub(crate) async fn send(base: &str, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let (bytes, end) = raw(base, method, target, headers).await;
    end.expect("an orderly end");
    parse(&bytes)
}

pub(crate) async fn get(base: &str, target: &str) -> Answer {
    send(base, "GET", target, &[]).await
}

/// GET with one credential, a User-Agent and the usual Accept.
pub(crate) async fn get_as(base: &str, target: &str, credential: (&str, String)) -> Answer {
    send_as(base, "GET", target, credential).await
}

pub(crate) async fn send_as(base: &str, method: &str, target: &str, credential: (&str, String)) -> Answer {
    send(base, method, target, &[("user-agent", "test"), ACCEPT, (credential.0, &credential.1)]).await
}
