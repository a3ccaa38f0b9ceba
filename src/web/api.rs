//! `/api/v1/credentials` and `/api/v1/workloads`: the document of `check -o json`, with the rows that were asked for.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;

use super::filter::Filter;
use super::{Faces, text};
use crate::outlook::Snapshot;
use crate::outlook::view::report::{self, CredentialView, WorkloadView};

/// How much of the rows is serialised before it is sent.
const PIECE: usize = 64 * 1024;

/// Credentials, with the findings of Secrets that have none.
pub(super) async fn credentials(State(faces): State<Faces>, RawQuery(query): RawQuery) -> Response {
    answer(&faces, query.as_deref(), Rows::Credentials)
}

/// Workloads.
pub(super) async fn workloads(State(faces): State<Faces>, RawQuery(query): RawQuery) -> Response {
    answer(&faces, query.as_deref(), Rows::Workloads)
}

#[derive(Clone, Copy, Debug)]
enum Rows {
    Credentials,
    Workloads,
}

fn answer(faces: &Faces, query: Option<&str>, rows: Rows) -> Response {
    let filter = match Filter::parse(query) {
        Ok(filter) => filter,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    if let Some(refusal) = super::standing_by(&faces.snapshot()) {
        return refusal;
    }
    let document = Document { snapshot: faces.snapshot(), filter, rows, place: Place::Start };
    let pieces = document.map(|piece| Ok::<Bytes, Infallible>(Bytes::from(piece)));
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(stream::iter(pieces))).into_response()
}

/// The document in pieces, so that a big inventory is never in memory as JSON all at once.
struct Document {
    snapshot: Arc<Snapshot>,
    filter: Filter,
    rows: Rows,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Start,
    /// At a row; whether a row before it was written.
    Row(usize, bool),
    End,
}

impl Document {
    /// Everything before the rows.
    fn head(&self) -> String {
        let rows = match self.rows {
            Rows::Credentials => "credentials",
            Rows::Workloads => "workloads",
        };
        let at = report::rfc3339(self.snapshot.generated_at);
        format!("{{\"version\":{},\"generated_at\":\"{at}\",\"{rows}\":[", report::VERSION)
    }

    /// Everything behind the rows.
    fn tail(&self) -> String {
        let mut members = Vec::new();
        if matches!(self.rows, Rows::Credentials) {
            let shown = self.snapshot.findings.iter().filter(|secret| self.filter.secret_findings(secret));
            let rows: Vec<_> = shown.flat_map(report::secret_findings).collect();
            members.push(("findings", json(&rows)));
        }
        members.push(("problems", json(&self.snapshot.problems)));
        members.push(("missing_permissions", json(&report::missing_permissions(&self.snapshot))));
        members.push(("summary", json(&report::summary(&self.snapshot))));
        let members: Vec<String> = members.into_iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
        format!("]{}}}\n", members.concat())
    }

    /// How many rows there are before the filter.
    fn len(&self) -> usize {
        match self.rows {
            Rows::Credentials => self.snapshot.credentials.len(),
            Rows::Workloads => self.snapshot.workloads.len(),
        }
    }

    /// One row, if it is to be shown.
    fn row(&self, at: usize) -> Option<String> {
        match self.rows {
            Rows::Credentials => {
                let row = &self.snapshot.credentials[at];
                self.filter.credential(row).then(|| json(&CredentialView::from(row)))
            }
            Rows::Workloads => {
                let row = &self.snapshot.workloads[at];
                self.filter.workload(row).then(|| json(&WorkloadView::from(row)))
            }
        }
    }
}

impl Iterator for Document {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let (mut piece, mut at, mut written) = match self.place {
            Place::Start => (self.head(), 0, false),
            Place::Row(at, written) => (String::new(), at, written),
            Place::End => return None,
        };
        while piece.len() < PIECE {
            if at == self.len() {
                self.place = Place::End;
                piece.push_str(&self.tail());
                return Some(piece);
            }
            if let Some(row) = self.row(at) {
                if written {
                    piece.push(',');
                }
                piece.push_str(&row);
                written = true;
            }
            at += 1;
        }
        self.place = Place::Row(at, written);
        Some(piece)
    }
}

/// A part of the document.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own types have string keys and nothing that fails to serialise")
}
