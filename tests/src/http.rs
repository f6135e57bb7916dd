//! What the gateway answers over HTTP: one request, one connection.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value as Json;

use crate::inbox::PATIENCE;

/// An answer.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// Such as 200.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// Without the marks of its chunks.
    pub body: String,
}

impl HttpAnswer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Json> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {self:?}"))
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Server-sent events, as they come.
#[derive(Debug)]
pub struct HttpEvents {
    lines: Lines<BufReader<TcpStream>>,
}

impl HttpEvents {
    /// Ask a server on a loopback port; what happens from then on comes.
    pub fn open(port: u16, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next().context("no answer")??;
        ensure!(status.starts_with("HTTP/1.1 200"), "{status}");
        for line in lines.by_ref() {
            if line?.is_empty() {
                return Ok(Self { lines });
            }
        }
        bail!("no end of the head")
    }

    /// The data of the next event of this name; what comes before it is passed over.
    pub fn next(&mut self, name: &str) -> Result<Json> {
        let wanted = format!("event: {name}");
        let mut is_wanted = false;
        for line in self.lines.by_ref() {
            let line = line.with_context(|| format!("no {name}"))?;
            match line.strip_prefix("data: ") {
                Some(data) if is_wanted => return Ok(serde_json::from_str(data)?),
                _ if line.starts_with("event: ") => is_wanted = line == wanted,
                _ => {}
            }
        }
        bail!("the events ended before {name}")
    }
}

/// Ask a server on a loopback port, with these header lines.
pub fn http(port: u16, method: &str, path: &str, headers: &[&str], body: &str) -> Result<HttpAnswer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let mut answer = HttpAnswer { status, head: head.to_owned(), body: body.to_owned() };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = joined(body).context("no chunks")?;
    }
    Ok(answer)
}

fn joined(mut chunks: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, rest) = chunks.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(rest.get(..size)?);
        chunks = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}
