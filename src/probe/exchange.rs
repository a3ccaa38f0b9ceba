//! One exchange on its way to evidence: it paces, sends, times and redacts, and remembers the answer that decided.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::client::{Ask, HostGuard, Reply, Stop};
use super::evidence::{Evidence, Guarded, Unproven};
use super::host_state::HostState;
use super::prober::Prober;
use super::text::{CODE, DETAIL, Redactor};
use super::wire::oci::{Body, OciError};
use super::wire::wait;
use crate::plan::Registry;

/// An answer with its body read. `Debug` is left out on purpose: token answers are secrets.
pub(super) struct Seen {
    pub(super) reply: Reply,
    pub(super) body: Body,
    /// The first OCI error of the body; an empty one when there is none.
    pub(super) error: OciError,
}

impl Seen {
    pub(super) fn status(&self) -> u16 {
        self.reply.status.as_u16()
    }

    pub(super) fn is_oci_error(&self) -> bool {
        !self.error.code.is_empty()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.reply.headers.get(name)?.to_str().ok()
    }

    /// What holds for every answer of every server, before its status says more: rate limits in all their clothes,
    /// and faults of the server itself.
    pub(super) fn unproven(&self) -> Option<Unproven> {
        let status = self.status();
        if status == 429 || (status >= 400 && self.speaks_of_rate_limit()) {
            return Some(Unproven::Throttled);
        }
        (status >= 500).then_some(Unproven::Odd("http_5xx"))
    }

    fn speaks_of_rate_limit(&self) -> bool {
        const WORDS: [&str; 5] = ["toomanyrequests", "too many requests", "rate limit", "ratelimit", "retry-after:"];
        if self.error.code == "TOOMANYREQUESTS" {
            return true;
        }
        let text = match &self.body {
            Body::Html => String::from_utf8_lossy(&self.reply.body).to_lowercase(),
            body => body.line().unwrap_or_default().to_lowercase(),
        };
        WORDS.iter().any(|word| text.contains(word))
    }
}

/// What is kept of the answer (or the failure) that decided.
#[derive(Clone, Debug, Default)]
pub(super) struct Circumstances {
    pub(super) http_status: Option<u16>,
    pub(super) code: Option<String>,
    pub(super) detail: String,
    pub(super) server_date: Option<DateTime<Utc>>,
    pub(super) retry_after: Option<Duration>,
}

/// An exchange in progress.
pub(super) struct Exchange<'a> {
    pub(super) prober: &'a Prober,
    pub(super) registry: &'a Registry,
    pub(super) state: Arc<HostState>,
    pub(super) redactor: Redactor,
    pub(super) last: Circumstances,
    /// As [`Evidence::to_anybody`].
    pub(super) to_anybody: bool,
    guard: HostGuard<'a>,
    took: Duration,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        prober: &'a Prober,
        registry: &'a Registry,
        guard: HostGuard<'a>,
        state: Arc<HostState>,
        redactor: Redactor,
    ) -> Self {
        let last = Circumstances::default();
        Self { prober, registry, state, redactor, last, to_anybody: false, guard, took: Duration::ZERO }
    }

    /// Send one request at the host's pace. The time counts from the slot on, not the wait for it.
    pub(super) async fn send(&mut self, ask: Ask) -> Result<Seen, Unproven> {
        self.state.pacer.ready().await;
        let start = self.prober.clock.moment();
        let outcome = self.prober.client.ask(self.registry, self.guard, &ask).await;
        self.took += self.prober.clock.moment().since(start);
        match outcome {
            Ok(reply) => Ok(self.note(reply)),
            Err(stop) => Err(self.stop(stop)),
        }
    }

    /// End with a reason of our own.
    pub(super) fn stop(&mut self, stop: Stop) -> Unproven {
        self.last = Circumstances { detail: self.redactor.show(&stop.detail, DETAIL), ..Circumstances::default() };
        match stop.why {
            // A host that was sent a credential can put it into the name of the host that it points at.
            Unproven::Guarded(Guarded::ForeignRealm(host)) => {
                Unproven::Guarded(Guarded::ForeignRealm(self.redactor.show(&host, DETAIL)))
            }
            why => why,
        }
    }

    fn note(&mut self, reply: Reply) -> Seen {
        let body = Body::of(&reply);
        let error = body.oci_error().unwrap_or_default();
        let status = reply.status.as_u16();
        let retry_after = (status >= 400)
            .then(|| {
                wait::retry_after(&reply.headers, self.prober.clock.wall())
                    .or_else(|| wait::retry_after_in_text(&body.line()?))
            })
            .flatten();
        self.last = Circumstances {
            http_status: Some(status),
            code: (!error.code.is_empty()).then(|| self.redactor.show(&error.code, CODE)),
            detail: self.line(status, &body),
            server_date: wait::clock_date(&reply.headers),
            retry_after,
        };
        Seen { reply, body, error }
    }

    fn line(&self, status: u16, body: &Body) -> String {
        // Answers that hold a token or a manifest have nothing to say to a person.
        let line = if status < 400 && matches!(body, Body::Json(_) | Body::Text(_)) { None } else { body.line() };
        match line {
            Some(line) => self.redactor.show(&line, DETAIL),
            None => format!("HTTP {status}"),
        }
    }

    /// Say more than the answer itself does.
    pub(super) fn explain(&mut self, detail: &str) {
        self.last.detail = self.redactor.show(detail, DETAIL);
    }

    pub(super) fn finish<A>(self, answer: A) -> Evidence<A> {
        Evidence {
            at: self.prober.clock.wall(),
            took: self.took,
            answer,
            http_status: self.last.http_status,
            code: self.last.code,
            detail: self.last.detail,
            server_date: self.last.server_date,
            retry_after: self.last.retry_after,
            to_anybody: self.to_anybody,
        }
    }
}
