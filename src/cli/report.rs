//! The report of `check -o table`: credentials, findings with fixes, workloads that are not well, problems, and a last
//! line that sums up.

use std::io::{self, Write};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Table, presets};

use crate::credential::Severity;
use crate::outlook::view::{
    broken_reference, broken_references, credentials_by_urgency, expiry, findings_by_urgency, health, printable,
    relative,
    report::{Counts, summary},
    vanished, waiting, why, workloads_by_urgency,
};
use crate::outlook::{CredentialRow, Outlook, Snapshot, WorkloadRow};
use crate::verdict::Status;
use crate::workload::PodRole;

/// From so many columns on, each fact of a credential has a column of its own.
const WIDE: u16 = 120;

/// How the report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Columns; `None` does not fold, so that every row is one line for the next program.
    pub width: Option<u16>,
    /// Whether to colour.
    pub colour: bool,
}

impl Look {
    /// An empty table that looks so.
    pub(super) fn table(self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if self.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        match self.width {
            Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(40)),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table
    }
}

/// Write the report of a snapshot.
pub fn write(snapshot: &Snapshot, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut report = Report { look, out, first: true };
    report.credentials(snapshot)?;
    report.fixes(snapshot)?;
    report.findings(snapshot)?;
    report.workloads(snapshot)?;
    report.problems(snapshot)?;
    report.health(snapshot)?;
    report.summary(snapshot)
}

struct Report<'a> {
    look: Look,
    out: &'a mut dyn Write,
    first: bool,
}

impl Report<'_> {
    fn credentials(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        if snapshot.credentials.is_empty() {
            return Ok(());
        }
        let stacked = self.look.width.is_some_and(|width| width < WIDE);
        let mut table = self.look.table();
        let header = ["SECRET", "REGISTRY", "USER", "STATUS", "EXPIRES", "WORKLOADS", "WHY"];
        if stacked {
            table.set_header([header[..3].join("\n"), header[3..6].join("\n"), header[6].to_owned()]);
        } else {
            table.set_header(header);
        }
        for row in credentials_by_urgency(snapshot) {
            let secret = object(&row.secret_namespace, &row.secret_name);
            let registry = printable(&row.registry).into_owned();
            let expires = expiry(row, snapshot.generated_at);
            let why = printable(&why(row)).into_owned();
            if stacked {
                let count =
                    if row.workloads == 1 { "1 workload".to_owned() } else { format!("{} workloads", row.workloads) };
                let name = [secret, registry, user(row)].into_iter().filter(|part| !part.is_empty());
                let name = name.collect::<Vec<_>>().join("\n");
                let state = [row.status.as_str().to_owned(), expires, count].join("\n");
                if !table.is_empty() {
                    table.add_row(["", "", ""]);
                }
                table.add_row([Cell::new(name), self.coloured(state, row), Cell::new(why)]);
            } else {
                table.add_row([
                    Cell::new(secret),
                    Cell::new(registry),
                    Cell::new(user(row)),
                    self.coloured(row.status.as_str().to_owned(), row),
                    Cell::new(expires),
                    Cell::new(row.workloads).set_alignment(CellAlignment::Right),
                    Cell::new(why),
                ]);
            }
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        if self.look.width.is_some() {
            // Status and numbers keep their width; names and words fold.
            let fixed: &[usize] = if stacked { &[1] } else { &[3, 4, 5] };
            for &index in fixed {
                if let Some(column) = table.column_mut(index) {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        self.section(None)?;
        self.print(&table)
    }

    fn coloured(&self, text: String, row: &CredentialRow) -> Cell {
        let severity = row.status.severity(row.workloads > 0);
        self.tinted(text, severity, row.status == Status::Valid)
    }

    /// What mends the credentials whose status is a problem.
    fn fixes(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let mut first = true;
        for row in credentials_by_urgency(snapshot) {
            let severity = row.status.severity(row.workloads > 0);
            let fix = row.fix();
            if severity < Some(Severity::Warning) || fix.is_empty() {
                continue;
            }
            if std::mem::take(&mut first) {
                self.section(Some("WHAT TO DO"))?;
            }
            let place = object(&row.secret_namespace, &row.secret_name);
            let head = format!("{}: {place} {}", row.status.as_str(), printable(&row.registry));
            self.paragraph(0, head.trim_end(), severity)?;
            self.fix(&fix)?;
        }
        Ok(())
    }

    /// A fix can hold a command, so it stands in one line whatever the width: a terminal folds it so that it can still
    /// be copied.
    fn fix(&mut self, fix: &str) -> io::Result<()> {
        if fix.is_empty() { Ok(()) } else { writeln!(self.out, "  fix: {}", printable(fix)) }
    }

    fn findings(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let findings = findings_by_urgency(snapshot);
        if findings.is_empty() {
            return Ok(());
        }
        self.section(Some("FINDINGS"))?;
        for (subject, finding) in findings {
            let place = object(subject.secret_namespace(), subject.secret_name());
            let registry = printable(subject.registry());
            let head = format!("{} {}: {place} {registry}", finding.severity.as_str(), finding.kind.as_str());
            self.paragraph(0, head.trim_end(), Some(finding.severity))?;
            self.paragraph(2, &printable(&finding.message), None)?;
            self.fix(&finding.fix)?;
        }
        Ok(())
    }

    fn workloads(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let mut rows = workloads_by_urgency(snapshot);
        let is_well = |row: &WorkloadRow| row.outlook == Outlook::Ok && row.severity() < Some(Severity::Warning);
        rows.retain(|row| !is_well(row) || !row.failing.is_empty() || row.gone.is_some());
        if rows.is_empty() {
            return Ok(());
        }
        self.section(Some("WORKLOADS THAT ARE NOT WELL"))?;
        for row in rows {
            self.workload(row, snapshot)?;
        }
        Ok(())
    }

    fn workload(&mut self, row: &WorkloadRow, snapshot: &Snapshot) -> io::Result<()> {
        let name = format!("{}/{}", printable(&row.key.kind), printable(&row.key.name));
        let mut head = format!("{}: {}", row.outlook.as_str(), object(&row.key.namespace, &name));
        if row.key.role != PodRole::Pod {
            head = format!("{head} ({})", row.key.role.as_str());
        }
        if row.idle {
            head.push_str(", idle");
        }
        if let Some(deadline) = row.deadline {
            let distance = relative(deadline, snapshot.generated_at);
            head = format!("{head}, until {} ({distance})", deadline.format("%Y-%m-%d"));
        }
        self.paragraph(0, &head, row.outlook.severity())?;
        let broken = broken_references(row).map(|(secret, reason)| broken_reference(secret, reason));
        let findings = row.findings.iter().map(|finding| finding.message.clone());
        let images =
            row.images.iter().filter(|image| image.outlook != Outlook::Ok && !row.reason.contains(&*image.image));
        let images = images.map(|image| format!("image {}: {}", image.image, image.outlook.as_str()));
        let mut lines: Vec<String> = Vec::new();
        let now = waiting(row).into_iter().chain(vanished(row, snapshot.generated_at));
        for line in std::iter::once(row.reason.clone()).chain(now).chain(broken).chain(findings).chain(images) {
            if !line.is_empty() && !lines.contains(&line) {
                lines.push(line);
            }
        }
        for line in lines {
            self.paragraph(2, &printable(&line), None)?;
        }
        self.fix(&row.fix)?;
        for finding in &row.findings {
            self.fix(&finding.fix)?;
        }
        Ok(())
    }

    fn problems(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        if snapshot.problems.is_empty() {
            return Ok(());
        }
        self.section(Some("INPUT THAT COULD NOT BE READ"))?;
        for problem in &snapshot.problems {
            let mut place = printable(&problem.source).into_owned();
            if let Some(index) = problem.index {
                place = format!("{place}[{index}]");
            }
            for part in [&problem.kind, &problem.name].into_iter().flatten() {
                place = format!("{place} {}", printable(part));
            }
            self.paragraph(0, &format!("{place}: {}", printable(&problem.message)), None)?;
        }
        Ok(())
    }

    fn health(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let mut lines = health(snapshot);
        lines.retain(|line| line.state.severity().is_some());
        if lines.is_empty() {
            return Ok(());
        }
        self.section(Some("WHAT LIMITS THIS REPORT"))?;
        for line in lines {
            self.paragraph(0, &printable(&line.subject), line.state.severity())?;
            self.paragraph(2, &printable(&line.detail), None)?;
        }
        Ok(())
    }

    fn summary(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let summary = summary(snapshot);
        let worst = summary.worst_severity.map_or("nothing wrong", |severity| match severity {
            Severity::Critical => "worst severity: critical",
            Severity::Warning => "worst severity: warning",
            Severity::Info => "worst severity: info",
        });
        let credentials = counted("credential", &summary.credentials);
        let workloads = counted("workload", &summary.workloads);
        self.section(None)?;
        self.paragraph(0, &format!("{credentials}; {workloads}; {worst}"), None)
    }

    /// An empty line between sections, and a heading.
    fn section(&mut self, title: Option<&str>) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            writeln!(self.out)?;
        }
        match title {
            Some(title) => writeln!(self.out, "{title}"),
            None => Ok(()),
        }
    }

    /// Words at an indent, folded at the width.
    fn paragraph(&mut self, indent: u16, text: &str, severity: Option<Severity>) -> io::Result<()> {
        let mut table = self.look.table();
        table.add_row(Row::from([self.tinted(text.to_owned(), severity, false)]));
        if let Some(column) = table.column_mut(0) {
            column.set_padding((indent, 0));
        }
        self.print(&table)
    }

    fn tinted(&self, text: String, severity: Option<Severity>, good: bool) -> Cell {
        let cell = Cell::new(text);
        if !self.look.colour {
            return cell;
        }
        match severity {
            Some(Severity::Critical) => cell.fg(Color::Red).add_attribute(Attribute::Bold),
            Some(Severity::Warning) => cell.fg(Color::Yellow),
            Some(Severity::Info) => cell.fg(Color::Cyan),
            None if good => cell.fg(Color::Green),
            None => cell,
        }
    }

    /// The lines of a table, without the blanks that only fill its last column.
    fn print(&mut self, table: &Table) -> io::Result<()> {
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn user(row: &CredentialRow) -> String {
    if row.username.is_empty() { "-".to_owned() } else { printable(&row.username).into_owned() }
}

fn object(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        printable(name).into_owned()
    } else {
        format!("{}/{}", printable(namespace), printable(name))
    }
}

/// `3 credentials (2 valid, 1 expired)`.
fn counted(noun: &str, counts: &Counts) -> String {
    let total: usize = counts.0.iter().map(|(_, count)| count).sum();
    let parts: Vec<String> =
        counts.0.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    let plural = if total == 1 { "" } else { "s" };
    if parts.is_empty() {
        format!("{total} {noun}{plural}")
    } else {
        format!("{total} {noun}{plural} ({})", parts.join(", "))
    }
}
