//! HTTP/1.1 by hand over a TCP stream.
//!
//! One server carries honest answers and every scripted misbehaviour: resets, half answers and floods need the socket
//! itself, and answers that are compared byte by byte are better written byte by byte.

use std::io;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest request head that is read, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;
/// Longest request body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// Size that an oversized answer declares, in bytes.
const OVERSIZE: u64 = 10 * 1024 * 1024 * 1024;
/// Header lines of a header flood: bounded, so that a client without limits fails its test instead of the machine.
const FLOOD_LINES: usize = 200_000;
/// Length of the value of a huge single header, in bytes.
const HUGE_HEADER: usize = 32 * 1024 * 1024;
/// Bytes per write of the answers that are made of noise.
const BLOCK: usize = 64 * 1024;

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) keep_alive: bool,
}

impl Request {
    /// The text of a header, if it is there once and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The decoded values of one query parameter, in order.
    pub(crate) fn query_values(&self, name: &str) -> Vec<String> {
        let pairs = self.query.as_deref().unwrap_or_default().split('&');
        pairs
            .filter_map(|pair| pair.split_once('='))
            .filter(|(key, _)| percent_decode(key) == name)
            .map(|(_, value)| percent_decode(value))
            .collect()
    }

    pub(crate) fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How an answer is put on the wire.
#[derive(Clone, Debug, Default)]
pub(crate) enum Delivery {
    /// As HTTP wants it.
    #[default]
    Whole,
    /// Nothing, until the client goes away.
    Silence,
    /// Head and half of the body, then nothing.
    StallInBody,
    /// RST before the first byte.
    Reset,
    /// RST in the middle of the header lines.
    ResetInHeaders,
    /// The declared length, half of the bytes, then FIN.
    Truncate,
    /// `Content-Length` of 10 GiB, and bytes for as long as the client takes them.
    Oversize,
    /// Chunks without end.
    Endless,
    /// One byte at a time.
    Drip(Duration),
    /// 200,000 header lines.
    HeaderFlood,
    /// One header line of 32 MiB.
    HugeHeader,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) delivery: Delivery,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), delivery: Delivery::Whole }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), delivery: Delivery::Whole }
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    /// Adds a header line.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn head(&self, framing: &str) -> String {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or("Unknown"));
        for (name, value) in &self.headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        head.push_str(framing);
        head
    }
}

/// Reads one request; `None` when the client went away between requests.
pub(crate) async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        // A TLS client greets with byte 22; it learns at once that nobody here speaks TLS.
        if buffer.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
            return Err(malformed("the request does not begin with a method"));
        }
        if buffer.len() > HEAD_LIMIT {
            return Err(malformed("the request head is longer than 64 KiB"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(malformed("the request head ends early")) };
        }
    };
    let rest = buffer.split_off(end + 4);
    let head = std::mem::replace(buffer, rest);
    let request = parse_head(&head)?;
    let length = match request.header("content-length") {
        Some(text) => text.trim().parse::<usize>().map_err(|_| malformed("Content-Length is no number"))?,
        None if request.headers.contains_key("transfer-encoding") => {
            return Err(malformed("chunked request bodies are not read"));
        }
        None => 0,
    };
    if length > BODY_LIMIT {
        return Err(malformed("the request body is longer than 1 MiB"));
    }
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(malformed("the request body ends early"));
        }
    }
    buffer.drain(..length);
    Ok(Some(request))
}

/// Answers what is no request with 400, as servers do; a client that went away gets nothing.
pub(crate) async fn refuse(stream: &mut TcpStream, error: &io::Error) {
    if error.kind() == io::ErrorKind::InvalidData {
        let answer =
            format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\nx-reason: {error}\r\n\r\n");
        // The client may be gone already, and then nobody needs the answer.
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

fn malformed(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn parse_head(head: &[u8]) -> io::Result<Request> {
    let text = std::str::from_utf8(head).map_err(|_| malformed("the request head is not text"))?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed("the request line does not have three words"));
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| malformed("the method is no token"))?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header line has no colon"))?;
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed("the name of a header is no token"))?;
        let value = HeaderValue::from_str(value.trim())
            .map_err(|_| malformed("the value of a header has control characters"))?;
        headers.append(name, value);
    }
    let connection = headers.get("connection").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let keep_alive = version == "HTTP/1.1" && !connection.eq_ignore_ascii_case("close");
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    };
    Ok(Request { method, path, query, headers, keep_alive })
}

/// Writes an answer. True when the connection can carry another request.
pub(crate) async fn send(stream: &mut TcpStream, request: &Request, reply: &Reply) -> io::Result<bool> {
    let bodyless = request.method == Method::HEAD || matches!(reply.status, 204 | 304);
    let own_length = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let closing = if request.keep_alive { "" } else { "connection: close\r\n" };
    let length = if own_length || reply.status == 204 {
        String::new()
    } else {
        format!("content-length: {}\r\n", reply.body.len())
    };
    let head = reply.head(&format!("{length}{closing}\r\n"));
    let body: &[u8] = if bodyless { &[] } else { &reply.body };
    let half = body.get(..body.len() / 2).unwrap_or_default();
    match &reply.delivery {
        Delivery::Whole => {
            stream.write_all(&[head.as_bytes(), body].concat()).await?;
            return Ok(request.keep_alive);
        }
        Delivery::Silence => wait_for_close(stream).await,
        Delivery::StallInBody => {
            // An answer without a body (HEAD) stalls in its head instead, so that the fault is never a no-op.
            let bytes =
                if body.is_empty() { half_of(head.as_bytes()).to_vec() } else { [head.as_bytes(), half].concat() };
            stream.write_all(&bytes).await?;
            wait_for_close(stream).await;
        }
        Delivery::Reset => stream.set_zero_linger()?,
        Delivery::ResetInHeaders => {
            stream.write_all(half_of(head.as_bytes())).await?;
            stream.set_zero_linger()?;
        }
        Delivery::Truncate => {
            let bytes =
                if body.is_empty() { half_of(head.as_bytes()).to_vec() } else { [head.as_bytes(), half].concat() };
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
        }
        Delivery::Oversize => {
            stream.write_all(reply.head(&format!("content-length: {OVERSIZE}\r\n\r\n")).as_bytes()).await?;
            pour(stream, &vec![b' '; BLOCK], OVERSIZE / BLOCK as u64).await?;
        }
        Delivery::Endless => {
            stream.write_all(reply.head("transfer-encoding: chunked\r\n\r\n").as_bytes()).await?;
            let chunk = [format!("{BLOCK:x}\r\n").as_bytes(), &vec![b' '; BLOCK], b"\r\n"].concat();
            pour(stream, &chunk, u64::MAX).await?;
        }
        Delivery::Drip(every) => {
            for byte in head.as_bytes().iter().chain(body) {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(*every).await;
            }
        }
        Delivery::HeaderFlood => {
            stream.write_all(reply.head("").as_bytes()).await?;
            for number in 0..FLOOD_LINES {
                stream.write_all(format!("x-flood-{number}: {number}\r\n").as_bytes()).await?;
            }
            stream.write_all(b"content-length: 0\r\n\r\n").await?;
        }
        Delivery::HugeHeader => {
            stream.write_all(reply.head("x-huge: ").as_bytes()).await?;
            pour(stream, &vec![b'a'; BLOCK], (HUGE_HEADER / BLOCK) as u64).await?;
            stream.write_all(b"\r\ncontent-length: 0\r\n\r\n").await?;
        }
    }
    Ok(false)
}

fn half_of(bytes: &[u8]) -> &[u8] {
    bytes.get(..bytes.len() / 2).unwrap_or_default()
}

async fn pour(stream: &mut TcpStream, chunk: &[u8], times: u64) -> io::Result<()> {
    for _ in 0..times {
        stream.write_all(chunk).await?;
    }
    Ok(())
}

async fn wait_for_close(stream: &mut TcpStream) {
    let mut sink = [0; 1024];
    while matches!(stream.read(&mut sink).await, Ok(length) if length > 0) {}
}
