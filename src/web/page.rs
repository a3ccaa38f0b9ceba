//! `/`: the status page. It needs no script, and everything from outside goes through maud's escape and [`printable`].

mod copies;
mod tables;

use std::sync::LazyLock;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::filter::{Filter, known_statuses};
use super::{Faces, text};
use crate::credential::Severity;
use crate::outlook::view::report::rfc3339;
use crate::outlook::view::{HealthLine, HealthState, health, printable, relative};
use crate::outlook::{Outlook, Role, Snapshot};
use crate::verdict::Status;

const STYLE: &str = include_str!("page/style.css");

/// The style sheet's hash, as a content security policy names it.
pub(super) fn style_hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
        format!("sha256-{}", STANDARD.encode(digest))
    });
    &HASH
}

/// The page.
pub(super) async fn index(State(faces): State<Faces>, RawQuery(query): RawQuery) -> Response {
    match Filter::parse(query.as_deref()) {
        Ok(filter) => {
            let page = render(&faces.snapshot(), &filter).into_string();
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
        }
        Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

fn render(snapshot: &Snapshot, filter: &Filter) -> Markup {
    let health = health(snapshot);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "pull-patrol" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "pull-patrol" }
                    span.soft { (generated(snapshot)) }
                    @if !snapshot.daemon.role.is_standby() { nav {
                        a href="#credentials" { "Credentials" }
                        a href="#workloads" { "Workloads" }
                        @if !snapshot.copies.is_empty() { a href="#copies" { "Copies" } }
                        a href="#findings" { "Findings" }
                        a href="#health" { "Health" }
                    } }
                }
                @if health.iter().any(|line| line.state.severity().is_some()) {
                    ul.alarms {
                        @for alarm in health.iter().filter(|line| line.state.severity().is_some()) {
                            li {
                                span.tag.(state_class(alarm.state)) { (alarm.state.as_str()) } " "
                                strong { (shown(&alarm.subject)) } ": " (shown(&alarm.detail))
                            }
                        }
                    }
                }
                (role(snapshot))
                @if !snapshot.daemon.role.is_standby() {
                    (counts(snapshot))
                    (form(filter))
                    (tables::credentials(snapshot, filter))
                    (tables::workloads(snapshot, filter))
                    (copies::copies(snapshot, filter))
                    (tables::findings(snapshot, filter))
                }
                (tables::problems(snapshot))
                (health_table(&health))
                footer {
                    a href="/metrics" { "metrics" } " · "
                    a href="/api/v1/credentials" { "credentials as JSON" } " · "
                    a href="/api/v1/workloads" { "workloads as JSON" } " · "
                    a href="/readyz?verbose" { "readiness" }
                }
            }
        }
    }
}

/// What this replica does, where that is not to probe.
fn role(snapshot: &Snapshot) -> Markup {
    html! {
        @match &snapshot.daemon.role {
            Role::Active => {}
            Role::Paused => p #role {
                span.tag.warning { "paused" }
                " This replica cannot renew its Lease, so it probes nothing. What follows is what it knew last."
            },
            Role::Standby { holder } => p #role {
                span.tag.calm { "standby" }
                " This replica probes nothing and tells of no credential. "
                @match holder {
                    Some(holder) => { "The Lease is held by " strong { (shown(holder)) } ": ask that one." }
                    None => "Nobody is known to hold the Lease.",
                }
            },
        }
    }
}

fn generated(snapshot: &Snapshot) -> Markup {
    html! {
        @if snapshot.generated_at > DateTime::UNIX_EPOCH {
            "as of " time datetime=(rfc3339(snapshot.generated_at)) { (snapshot.generated_at.format("%Y-%m-%d %H:%M:%S UTC")) }
            ", times are relative to that"
        } @else {
            "nothing was looked at yet: the inventory is being listed"
        }
    }
}

/// How many rows there are of what; each leads to those rows.
fn counts(snapshot: &Snapshot) -> Markup {
    let statuses = Status::ALL.iter().map(|&status| {
        let rows = snapshot.credentials.iter().filter(|row| row.status == status);
        let (count, severity) = rows
            .fold((0_usize, None), |(count, worst), row| (count + 1, worst.max(status.severity(row.workloads > 0))));
        (status.as_str(), count, status_class(status, severity))
    });
    let outlooks = Outlook::ALL.iter().map(|&outlook| {
        let count = snapshot.workloads.iter().filter(|row| row.outlook == outlook).count();
        (outlook.as_str(), count, outlook_class(outlook))
    });
    html! {
        (count_list("Credentials", "credentials", statuses))
        (count_list("Workloads", "workloads", outlooks))
    }
}

fn count_list(title: &str, anchor: &str, counts: impl Iterator<Item = (&'static str, usize, &'static str)>) -> Markup {
    let counts: Vec<_> = counts.filter(|(_, count, _)| *count > 0).collect();
    html! {
        ul.counts {
            li { (title) }
            @for (name, count, class) in &counts {
                li { a.tag.(class) href={ "/?status=" (name) "#" (anchor) } { (count) " " (name) } }
            }
            @if counts.is_empty() { li.soft { "none" } }
        }
    }
}

fn form(filter: &Filter) -> Markup {
    let value = |field: &Option<String>| field.clone().unwrap_or_default();
    let severities = [Severity::Critical, Severity::Warning, Severity::Info];
    html! {
        form method="get" action="/" {
            label { "Namespace" input name="namespace" value=(value(&filter.namespace)); }
            label { "Registry" input name="registry" value=(value(&filter.registry)); }
            label { "Status or outlook"
                select name="status" {
                    option value="" { "any" }
                    @for status in known_statuses() {
                        option value=(status) selected[filter.status.as_deref() == Some(status)] { (status) }
                    }
                }
            }
            label { "Severity, at least"
                select name="severity" {
                    option value="" { "any" }
                    @for severity in severities {
                        option value=(severity.as_str()) selected[filter.severity == Some(severity)] { (severity.as_str()) }
                    }
                }
            }
            label { "Name holds" input type="search" name="q" value=(value(&filter.text)); }
            button type="submit" { "Filter" }
            @if !filter.is_empty() { a href="/" { "Show all" } }
        }
    }
}

fn health_table(lines: &[HealthLine]) -> Markup {
    html! {
        h2 #health { "Health of the daemon" }
        table {
            thead { tr { th { "State" } th { "Of" } th { "Detail" } } }
            tbody {
                @for line in lines {
                    tr {
                        td data-label="State" { span.tag.(state_class(line.state)) { (line.state.as_str()) } }
                        td data-label="Of" { (shown(&line.subject)) }
                        td data-label="Detail" { (shown(&line.detail)) }
                    }
                }
            }
        }
    }
}

/// Text from outside, isolated from the direction of the text around it.
fn shown(text: &str) -> Markup {
    html! { bdi { (printable(text)) } }
}

/// A moment: its date, and how far away it is.
fn moment(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        div {
            time datetime=(rfc3339(at)) title=(at.format("%Y-%m-%d %H:%M:%S UTC")) { (at.format("%Y-%m-%d")) }
            " " span.soft.nowrap { (relative(at, now)) }
        }
    }
}

fn severity_class(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Critical) => "critical",
        Some(Severity::Warning) => "warning",
        Some(Severity::Info) => "info",
        None => "good",
    }
}

fn state_class(state: HealthState) -> &'static str {
    if state == HealthState::Unknown { "calm" } else { severity_class(state.severity()) }
}

fn status_class(status: Status, severity: Option<Severity>) -> &'static str {
    match (severity, status) {
        (Some(_), _) => severity_class(severity),
        (None, Status::Valid) => "good",
        (None, _) => "calm",
    }
}

fn outlook_class(outlook: Outlook) -> &'static str {
    match outlook.severity() {
        None if outlook == Outlook::Ok => "good",
        None => "calm",
        severity => severity_class(severity),
    }
}
