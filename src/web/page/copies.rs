//! The table of tokens that stand in more than one Secret: what a rotation has to reach, and what each copy serves.

use maud::{Markup, html};

use super::tables::{MOST, heading, secret};
use super::{shown, status_class};
use crate::outlook::Snapshot;
use crate::outlook::view::copies_by_use;
use crate::web::Filter;

/// Copies of one token that are listed, at most.
const MOST_OF_ONE: usize = 50;

pub(super) fn copies(snapshot: &Snapshot, filter: &Filter) -> Markup {
    let mut rows = copies_by_use(snapshot);
    let of = rows.len();
    rows.retain(|(_, copies)| copies.iter().any(|row| filter.credential(row)));
    let api = format!("/api/v1/credentials{}", filter.query());
    html! {
        @if of > 0 {
            (heading("copies", "Copies of one token", rows.len(), of, Some(&api)))
        }
        @if !rows.is_empty() {
            p.note { "A rotation has to reach every Secret that holds a copy; the numbers are the workloads that would present it." }
            table {
                thead { tr { th { "Token" } th { "Registry" } th { "Copies" } th { "Where, and for how many workloads" } } }
                tbody { @for (group, copies) in rows.iter().take(MOST) {
                    tr {
                        td data-label="Token" { code { (shown(&group.token_id)) } }
                        td data-label="Registry" { (shown(&group.registry)) }
                        td.number data-label="Copies" { (copies.len()) }
                        td data-label="Where" { ul {
                            @for row in copies.iter().take(MOST_OF_ONE) {
                                li {
                                    span.tag.(status_class(row.status, row.status.severity(row.workloads > 0))) { (row.status.as_str()) }
                                    " " (secret(&row.secret_namespace, &row.secret_name)) " "
                                    span.soft.nowrap { (row.workloads) @if row.workloads == 1 { " workload" } @else { " workloads" } }
                                }
                            }
                            @if copies.len() > MOST_OF_ONE { li { "and " (copies.len() - MOST_OF_ONE) " more" } }
                        } }
                    }
                } }
            }
        }
    }
}
