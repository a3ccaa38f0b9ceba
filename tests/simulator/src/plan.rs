//! Faults at work: which of those in force strike a request, and what they make of its answer.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::faults::{Fault, FaultId, FaultRule, RetryAfter};
use crate::host::Host;
use crate::log::Presented;
use crate::packages::oci_error;
use crate::rng;
use crate::state::{State, http_date};
use crate::wire::{Delivery, Reply, Request};

#[derive(Debug)]
pub(crate) struct ActiveFault {
    pub(crate) id: FaultId,
    rule: FaultRule,
    matched: u32,
    pub(crate) hits: u32,
    /// How often each kind of request was seen: the draw for its n-th repetition depends on nothing else.
    seen: HashMap<u64, u64>,
}

impl ActiveFault {
    fn strikes(&mut self, draw: u64, now: DateTime<Utc>, host: Host, request: &Request, presented: &Presented) -> bool {
        let rule = &self.rule;
        let matches = rule.host.is_none_or(|wanted| wanted == host)
            && rule.path_prefix.as_ref().is_none_or(|prefix| request.path.starts_with(prefix.as_str()))
            && rule.method.as_ref().is_none_or(|method| request.method.as_str() == method)
            && rule.token.is_none_or(|token| presented.token() == Some(token))
            && rule.from.is_none_or(|from| from <= now)
            && rule.until.is_none_or(|until| now < until);
        if !matches || rule.times.is_some_and(|times| self.hits >= times) {
            return false;
        }
        self.matched += 1;
        if self.matched <= rule.skip {
            return false;
        }
        if rule.every.is_some_and(|nth| !(self.matched - rule.skip).is_multiple_of(nth.max(1))) {
            return false;
        }
        if let Some(share) = rule.share {
            let who = format!("{presented:?}");
            let query = request.query.as_deref().unwrap_or_default();
            let parts = [request.method.as_str(), &request.path, query, &who].map(str::as_bytes);
            let key = rng::hash(self.id.0, &parts);
            let seen = self.seen.entry(key).or_default();
            *seen += 1;
            if rng::unit(rng::hash(draw ^ key, &[&seen.to_le_bytes()])) >= share {
                return false;
            }
        }
        self.hits += 1;
        true
    }
}

/// What the faults in force decided for one request.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) fault: Option<Fault>,
    pub(crate) id: Option<FaultId>,
}

impl State {
    pub(crate) fn add_fault(&mut self, rule: FaultRule) -> FaultId {
        self.next_fault += 1;
        let id = FaultId(self.next_fault);
        self.faults.push(ActiveFault { id, rule, matched: 0, hits: 0, seen: HashMap::new() });
        id
    }

    pub(crate) fn plan(&mut self, host: Host, request: &Request, presented: &Presented) -> Plan {
        let (seed, now) = (self.seed, self.now());
        let mut plan = Plan::default();
        for active in &mut self.faults {
            if !active.strikes(seed, now, host, request, presented) {
                continue;
            }
            plan.id = Some(active.id);
            match &active.rule.fault {
                Fault::Delay(delay) => plan.delay += *delay,
                fault => {
                    plan.fault = Some(fault.clone());
                    break;
                }
            }
        }
        plan
    }

    /// The answer of a fault that does not need the real one.
    pub(crate) fn replaced(&self, host: Host, fault: &Fault) -> Option<Reply> {
        let silent = |delivery| Some(Reply { delivery, ..Reply::empty(0) });
        match fault {
            Fault::Status { status, body, headers } => {
                Some(Reply { headers: headers.clone(), body: body.clone().into_bytes(), ..Reply::empty(*status) })
            }
            Fault::RateLimited { retry_after, ghcr_duration } => {
                let reply = match ghcr_duration {
                    Some(duration) => {
                        oci_error(429, "TOOMANYREQUESTS", &format!("retry-after: {duration}, allowed: 44000/minute"))
                    }
                    None if host.is_github_api() => Reply::json(429, &crate::github_api::secondary_limit_body(429)),
                    None => oci_error(429, "TOOMANYREQUESTS", "too many requests"),
                };
                Some(match retry_after {
                    RetryAfter::Absent => reply,
                    RetryAfter::Seconds(seconds) => reply.with("retry-after", seconds.to_string()),
                    RetryAfter::Date(ahead) => reply.with("retry-after", http_date(self.host_time(host) + *ahead)),
                })
            }
            Fault::TimeoutAtHeaders => silent(Delivery::Silence),
            Fault::Reset => silent(Delivery::Reset),
            Fault::Html => Some(html_page()),
            Fault::Redirect(target) => Some(Reply::empty(307).with("location", target)),
            _ => None,
        }
    }
}

/// The page of a captive portal, a login wall or a web server that is no registry.
pub(crate) fn html_page() -> Reply {
    let page = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>\n";
    Reply::new(200, "text/html; charset=utf-8", page)
}

/// Applies a fault to the real answer.
pub(crate) fn alter(mut reply: Reply, fault: &Fault) -> Reply {
    match fault {
        Fault::TimeoutAtBody => reply.delivery = Delivery::StallInBody,
        Fault::ResetInHeaders => reply.delivery = Delivery::ResetInHeaders,
        Fault::Truncate => reply.delivery = Delivery::Truncate,
        Fault::Oversize => reply.delivery = Delivery::Oversize,
        Fault::EndlessBody => reply.delivery = Delivery::Endless,
        Fault::SlowDrip(every) => reply.delivery = Delivery::Drip(*every),
        Fault::HeaderFlood => reply.delivery = Delivery::HeaderFlood,
        Fault::HugeHeader => reply.delivery = Delivery::HugeHeader,
        Fault::EmptyBody => reply.body.clear(),
        Fault::WrongJson => reply.body = json!([{ "token": ["not", 1, "text"], "errors": "none" }]).to_string().into(),
        Fault::BrokenJson => reply.body = br#"{"token":"abc","errors":[{"code":"#.to_vec(),
        Fault::Status { .. }
        | Fault::RateLimited { .. }
        | Fault::TimeoutAtHeaders
        | Fault::Reset
        | Fault::Html
        | Fault::Redirect(_)
        | Fault::Delay(_) => {}
    }
    reply
}
