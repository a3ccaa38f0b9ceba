//! The tables of the page. Each shows a bounded number of rows and leads to the rest in the API.

use maud::{Markup, html};

use super::{moment, outlook_class, severity_class, shown, status_class};
use crate::outlook::view::{
    Subject, broken_reference, broken_references, credentials_by_urgency, expiry, findings_by_urgency, vanished,
    waiting, why, workloads_by_urgency,
};
use crate::outlook::{CredentialRow, Snapshot, WorkloadRow};
use crate::web::Filter;

/// Rows of a table, at most.
pub(super) const MOST: usize = 500;

/// The heading of a table and what it does not show.
pub(super) fn heading(anchor: &str, title: &str, matching: usize, of: usize, more: Option<&str>) -> Markup {
    html! {
        h2 id=(anchor) {
            (title) " "
            small { @if matching == of { (of) } @else { (matching) " of " (of) } }
        }
        @if matching > MOST {
            p.note {
                "The first " (MOST) " of " (matching) " are shown."
                @if let Some(more) = more { " All of them are in " a href=(more) { "the API" } "." }
            }
        }
        @if matching == 0 {
            p.note { @if of == 0 { "None." } @else { "None matches the filter." } }
        }
    }
}

pub(super) fn credentials(snapshot: &Snapshot, filter: &Filter) -> Markup {
    let mut rows = credentials_by_urgency(snapshot);
    rows.retain(|row| filter.credential(row));
    let now = snapshot.generated_at;
    let api = format!("/api/v1/credentials{}", filter.query());
    html! {
        (heading("credentials", "Credentials", rows.len(), snapshot.credentials.len(), Some(&api)))
        @if !rows.is_empty() {
            table {
                thead { tr {
                    th { "Status" } th { "Secret" } th { "Registry" } th { "User" } th { "Expires" } th { "Last proof" }
                    th { "Workloads" } th { "Why" }
                } }
                tbody { @for row in rows.iter().take(MOST) {
                    tr {
                        td data-label="Status" {
                            span.tag.(status_class(row.status, row.status.severity(row.workloads > 0))) { (row.status.as_str()) }
                        }
                        td data-label="Secret" { (secret(&row.secret_namespace, &row.secret_name)) }
                        td data-label="Registry" { (shown(&row.registry)) }
                        td data-label="User" { (user(row)) }
                        td data-label="Expires" {
                            @match (row.expires_at, row.expiry_known) {
                                (Some(at), _) => (moment(at, now)),
                                (None, _) => span.soft { (expiry(row, now)) },
                            }
                        }
                        td data-label="Last proof" {
                            @match row.last_verdict_at { Some(at) => (moment(at, now)), None => span.soft { "none" } }
                        }
                        td.number data-label="Workloads" { (row.workloads) }
                        td data-label="Why" { div { (shown(&why(row))) (badges(row)) @let fix = row.fix(); @if !fix.is_empty() { (mending(&fix)) } } }
                    }
                } }
            }
        }
    }
}

pub(super) fn secret(namespace: &str, name: &str) -> Markup {
    html! { span { @if !namespace.is_empty() { span.soft { (shown(namespace)) "/" } } (shown(name)) } }
}

fn user(row: &CredentialRow) -> Markup {
    html! {
        div {
            (shown(&row.username))
            @if !row.token_owner.is_empty() && row.token_owner != row.username { " " span.soft { "(owner " (shown(&row.token_owner)) ")" } }
            @if let Some(kind) = row.token_kind { " " span.soft { (kind.as_str()) } }
            @if row.copies > 1 { " " span.soft.nowrap { (row.copies) " copies" } }
        }
    }
}

/// The names of the findings of a credential; their words stand in the table of findings.
fn badges(row: &CredentialRow) -> Markup {
    html! {
        @for (at, finding) in row.findings.iter().enumerate() {
            @if !row.findings[..at].iter().any(|earlier| earlier.kind == finding.kind) {
                " " a.tag.(severity_class(Some(finding.severity))) href="#findings" { (finding.kind.as_str()) }
            }
        }
    }
}

pub(super) fn workloads(snapshot: &Snapshot, filter: &Filter) -> Markup {
    let mut rows = workloads_by_urgency(snapshot);
    rows.retain(|row| filter.workload(row));
    let api = format!("/api/v1/workloads{}", filter.query());
    html! {
        (heading("workloads", "Workloads", rows.len(), snapshot.workloads.len(), Some(&api)))
        @if !rows.is_empty() {
            p.note { "Would its images pull if a fresh node came up now, and until when?" }
            table {
                thead { tr { th { "Outlook" } th { "Workload" } th { "Deadline" } th { "Images" } th { "Why" } } }
                tbody { @for row in rows.iter().take(MOST) {
                    tr {
                        td data-label="Outlook" { span.tag.(outlook_class(row.outlook)) { (row.outlook.as_str()) } }
                        td data-label="Workload" { div {
                            span.soft { (shown(&row.key.namespace)) "/" } (shown(&row.key.name)) " "
                            span.soft { (shown(&row.key.kind)) ", " (row.key.role.as_str()) }
                        } }
                        td data-label="Deadline" {
                            @match row.deadline { Some(at) => (moment(at, snapshot.generated_at)), None => span.soft { "none" } }
                        }
                        td data-label="Images" { (images(row)) }
                        td data-label="Why" { div {
                            (shown(&row.reason))
                            @if let Some(waiting) = waiting(row) { div { strong { (waiting) } } }
                            @if let Some(vanished) = vanished(row, snapshot.generated_at) { div { strong { (shown(&vanished)) } } }
                            @for (secret, reason) in broken_references(row) { div { (shown(&broken_reference(secret, reason))) } }
                            @for finding in &row.findings {
                                div { span.tag.(severity_class(Some(finding.severity))) { (finding.kind.as_str()) } " " (shown(&finding.message)) }
                                (mending(&finding.fix))
                            }
                            @if !row.fix.is_empty() { (mending(&row.fix)) }
                        } }
                    }
                } }
            }
        }
    }
}

fn images(row: &WorkloadRow) -> Markup {
    html! {
        ul {
            @for image in &row.images {
                li {
                    @if row.images.len() > 1 { span.tag.(outlook_class(image.outlook)) { (image.outlook.as_str()) } " " }
                    code { (shown(&image.image)) }
                    @if !image.credentials.is_empty() {
                        ul { @for matched in &image.credentials {
                            li {
                                span.tag.(status_class(matched.status, matched.status.severity(true))) { (matched.status.as_str()) }
                                " " (shown(&matched.secret_name)) " " span.soft { (shown(&matched.registry)) }
                            }
                        } }
                    }
                }
            }
        }
    }
}

pub(super) fn findings(snapshot: &Snapshot, filter: &Filter) -> Markup {
    let all = findings_by_urgency(snapshot);
    let of = all.len();
    let mut rows = all;
    rows.retain(|(subject, finding)| {
        filter.severity.is_none_or(|severity| finding.severity >= severity)
            && match subject {
                Subject::Credential(row) => filter.credential(row),
                Subject::Secret(secret) => filter.secret_findings(secret),
            }
    });
    html! {
        (heading("findings", "Findings", rows.len(), of, Some(&format!("/api/v1/credentials{}", filter.query()))))
        @if !rows.is_empty() {
            table {
                thead { tr { th { "Severity" } th { "Finding" } th { "Secret" } th { "Registry" } th { "What" } th { "Fix" } } }
                tbody { @for (subject, finding) in rows.iter().take(MOST) {
                    tr {
                        td data-label="Severity" {
                            span.tag.(severity_class(Some(finding.severity))) { (finding.severity.as_str()) }
                        }
                        td data-label="Finding" { code { (finding.kind.as_str()) } }
                        td data-label="Secret" { (secret(subject.secret_namespace(), subject.secret_name())) }
                        td data-label="Registry" { (shown(subject.registry())) }
                        td data-label="What" { (shown(&finding.message)) }
                        td.fix data-label="Fix" { (shown(&finding.fix)) }
                    }
                } }
            }
        }
    }
}

pub(super) fn problems(snapshot: &Snapshot) -> Markup {
    let problems = &snapshot.problems;
    html! {
        @if !problems.is_empty() {
            (heading("problems", "Input that could not be read", problems.len(), problems.len(), None))
            table {
                thead { tr { th { "Source" } th { "Object" } th { "What" } } }
                tbody { @for problem in problems.iter().take(MOST) {
                    tr {
                        td data-label="Source" {
                            (shown(&problem.source))
                            @if let Some(index) = problem.index { "[" (index) "]" }
                        }
                        td data-label="Object" {
                            (shown(problem.kind.as_deref().unwrap_or_default())) " " (shown(problem.name.as_deref().unwrap_or_default()))
                        }
                        td data-label="What" { (shown(&problem.message)) }
                    }
                } }
            }
        }
    }
}

/// What to do, folded away: most of it is a command, and a page of commands hides what is wrong.
fn mending(fix: &str) -> Markup {
    html! { details.fix { summary { "what to do" } (shown(fix)) } }
}
