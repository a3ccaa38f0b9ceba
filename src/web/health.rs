//! `/livez`, `/healthz` and `/readyz`, in the words of the Kubernetes API server.

use std::fmt::Write;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::DateTime;

use super::{Faces, text};
use crate::cluster::Resource;
use crate::outlook::Snapshot;

/// One check with what is wrong, if anything is.
type Check = (String, Result<(), &'static str>);

/// The process answers. Nothing remote is asked: a registry or an API server that is away is no reason to restart us.
pub(super) async fn livez(RawQuery(query): RawQuery) -> Response {
    answer("livez", query.as_deref(), &[("ping".to_owned(), Ok(()))])
}

/// The inventory is complete and was looked at.
pub(super) async fn readyz(State(faces): State<Faces>, RawQuery(query): RawQuery) -> Response {
    let mut checks = readiness(&faces.snapshot());
    let stopping = faces.stopping.is_cancelled();
    checks.push(("shutdown".to_owned(), (!stopping).then_some(()).ok_or("the process stops")));
    answer("readyz", query.as_deref(), &checks)
}

fn readiness(snapshot: &Snapshot) -> Vec<Check> {
    let computed = snapshot.generated_at > DateTime::UNIX_EPOCH;
    let mut checks = vec![("snapshot".to_owned(), computed.then_some(()).ok_or("none was computed yet"))];
    for resource in Resource::ALL {
        let synced = snapshot.daemon.synced.iter().any(|(which, synced)| *which == resource && *synced);
        let result = synced.then_some(()).ok_or("the first list has not arrived yet");
        checks.push((format!("inventory/{}", resource.as_str()), result));
    }
    checks
}

fn answer(name: &str, query: Option<&str>, checks: &[Check]) -> Response {
    let failed = checks.iter().any(|(_, result)| result.is_err());
    let asked = query.unwrap_or_default().split('&').any(|pair| pair.split('=').next() == Some("verbose"));
    if !failed && !asked {
        return text(StatusCode::OK, "ok\n");
    }
    let mut body = String::new();
    for (check, result) in checks {
        // Writing to a string cannot fail.
        let _ = match result {
            Ok(()) => writeln!(body, "[+]{check} ok"),
            Err(why) => writeln!(body, "[-]{check} failed: {why}"),
        };
    }
    let _ = writeln!(body, "{name} check {}", if failed { "failed" } else { "passed" });
    text(if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, body)
}
