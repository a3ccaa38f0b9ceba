//! The answer of `explain -o table`: per image the numbered credentials in the kubelet's order with what each answers, the
//! outcome, why, and the commands that mend it.

use std::io::{self, Write};

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, Table};

use super::report::Look;
use crate::credential::Severity;
use crate::outlook::explain::{Answer, Dependent, ExplainedCredential, ExplainedGap, ExplainedImage, Explanation};
use crate::outlook::view::{broken_reference, expiry, printable, relative, why};
use crate::outlook::{CredentialRow, Outlook};

/// From so many columns on, each fact of a credential has a column of its own.
const WIDE: u16 = 120;
/// What an explanation is indented by.
const INDENT: u16 = 2;

/// Write an explanation.
pub fn write(explanation: &Explanation, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page { look, out };
    page.paragraph(0, &format!("{} in namespace {}", explanation.target, explanation.namespace), Tint::Bold)?;
    match &explanation.answer {
        Answer::Pulls { images, broken_references, gaps, right_now, notes } => {
            if images.is_empty() && gaps.is_empty() {
                page.paragraph(0, "It pulls no image.", Tint::None)?;
            }
            for image in images {
                page.image(image, explanation)?;
            }
            for gap in gaps {
                page.gap(gap)?;
            }
            let broken = broken_references.iter().map(|one| broken_reference(&one.secret_name, one.reason));
            page.lines("BROKEN REFERENCES", broken, Tint::Severity(Some(Severity::Warning)))?;
            page.lines("RIGHT NOW", right_now.iter().cloned(), Tint::Severity(Some(Severity::Warning)))?;
            page.lines("OUT OF REACH", notes.iter().cloned(), Tint::None)
        }
        Answer::Secret { credentials, dependents } => {
            page.credentials_of_secret(credentials, explanation)?;
            page.dependents(dependents)
        }
    }
}

#[derive(Clone, Copy)]
enum Tint {
    None,
    Bold,
    Good,
    Severity(Option<Severity>),
}

impl Tint {
    fn of(outlook: Outlook) -> Self {
        if outlook == Outlook::Ok { Self::Good } else { Self::Severity(outlook.severity()) }
    }
}

struct Page<'a> {
    look: Look,
    out: &'a mut dyn Write,
}

impl Page<'_> {
    fn image(&mut self, image: &ExplainedImage, explanation: &Explanation) -> io::Result<()> {
        writeln!(self.out)?;
        let mut who = format!("{}/{}", image.workload_kind, image.workload_name);
        if image.pod_role != "pod" {
            who = format!("{who} ({})", image.pod_role);
        }
        let containers = image.containers.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>();
        let containers = if containers.is_empty() { String::new() } else { format!(": {}", containers.join(", ")) };
        let mut head = format!("{}: {}", image.outlook.as_str(), image.image);
        if let Some(deadline) = image.deadline {
            let distance = relative(deadline, explanation.generated_at);
            head = format!("{head}, until {} ({distance})", deadline.format("%Y-%m-%d"));
        }
        self.paragraph(0, &head, Tint::of(image.outlook))?;
        self.paragraph(INDENT, &format!("{who}{containers}"), Tint::None)?;
        if !image.credentials.is_empty() {
            self.credentials(&image.credentials)?;
        }
        match image.anonymous {
            "granted" => self.paragraph(INDENT, "without a credential: granted, anyone may pull it", Tint::None)?,
            "denied" => self.paragraph(INDENT, "without a credential: denied", Tint::None)?,
            "unknown" => self.paragraph(INDENT, "without a credential: not proven yet", Tint::None)?,
            _ => {}
        }
        let prefix = format!("{}: ", image.image);
        let reason = image.reason.strip_prefix(&prefix).unwrap_or(&image.reason);
        if !reason.is_empty() {
            self.paragraph(INDENT, &format!("why: {reason}"), Tint::None)?;
        }
        for finding in &image.findings {
            let line = format!("{} {}: {}", finding.severity.as_str(), finding.kind.as_str(), finding.message);
            self.paragraph(INDENT, &line, Tint::Severity(Some(finding.severity)))?;
        }
        self.commands("to mend it:", &image.fix)
    }

    /// Pods of a role of which something is not known before they exist.
    fn gap(&mut self, gap: &ExplainedGap) -> io::Result<()> {
        writeln!(self.out)?;
        let who = format!("{}/{} ({})", gap.workload_kind, gap.workload_name, gap.pod_role);
        if gap.outlook == Outlook::Unknown {
            self.paragraph(0, &format!("unknown: {who}"), Tint::Bold)?;
        } else {
            self.paragraph(0, &format!("not known beforehand: {who}"), Tint::Bold)?;
        }
        self.paragraph(INDENT, &gap.reason, Tint::None)?;
        self.commands("what helps:", &gap.fix)
    }

    /// Each command is one line whatever the width: a terminal folds it so that it can still be copied. A comment is
    /// folded into several.
    fn commands(&mut self, title: &str, commands: &[String]) -> io::Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "  {title}")?;
        for command in commands {
            let command = printable(command);
            match (command.strip_prefix("# "), self.look.width) {
                (Some(words), Some(width)) => {
                    for line in folded(words, usize::from(width.max(40)) - 6) {
                        writeln!(self.out, "    # {line}")?;
                    }
                }
                _ => writeln!(self.out, "    {command}")?,
            }
        }
        Ok(())
    }

    fn credentials(&mut self, credentials: &[ExplainedCredential]) -> io::Result<()> {
        let stacked = self.look.width.is_some_and(|width| width < WIDE);
        let mut table = self.look.table();
        if stacked {
            table.set_header(["#", "SECRET\nREGISTRY\nUSER", "STATUS\nANSWER\nFROM", "IN WORDS"]);
        } else {
            table.set_header(["#", "SECRET", "REGISTRY", "USER", "FROM", "STATUS", "ANSWER", "IN WORDS"]);
        }
        for one in credentials {
            let secret = if one.source == "node" { "(node)" } else { &one.secret_name };
            let user = if one.username.is_empty() { "-" } else { &one.username };
            let tint = match one.access {
                "granted" => Tint::Good,
                "denied" => Tint::Severity(Some(Severity::Critical)),
                _ => Tint::None,
            };
            let text = |text: &str| printable(text).into_owned();
            let order = one.order.to_string();
            let from = one.source.replace('_', " ");
            if stacked {
                let name = [secret, &one.registry, user].map(text).join("\n");
                let state = [one.status.as_str(), one.access, &from].join("\n");
                table.add_row([
                    Cell::new(order),
                    Cell::new(name),
                    self.cell(state, tint),
                    Cell::new(text(&one.detail)),
                ]);
            } else {
                table.add_row([
                    Cell::new(order),
                    Cell::new(text(secret)),
                    Cell::new(text(&one.registry)),
                    Cell::new(text(user)),
                    Cell::new(from),
                    Cell::new(one.status.as_str()),
                    self.cell(one.access.to_owned(), tint),
                    Cell::new(text(&one.detail)),
                ]);
            }
        }
        self.print(&mut table, INDENT, if stacked { &[0, 2] } else { &[0, 4, 5, 6] })
    }

    fn credentials_of_secret(&mut self, rows: &[CredentialRow], explanation: &Explanation) -> io::Result<()> {
        writeln!(self.out)?;
        if rows.is_empty() {
            return self.paragraph(0, "It holds no credential that the kubelet would read.", Tint::None);
        }
        for row in rows {
            let registry = if row.registry.is_empty() { "(malformed)" } else { &row.registry };
            let user = if row.username.is_empty() { "-" } else { &row.username };
            let head = format!(
                "{}: {registry}, user {user}, expires {}",
                row.status.as_str(),
                expiry(row, explanation.generated_at)
            );
            let severity = row.status.severity(row.workloads > 0);
            self.paragraph(0, &head, severity.map_or(Tint::None, |severity| Tint::Severity(Some(severity))))?;
            let why = why(row);
            // A status is often explained by a finding, which stands below with its severity.
            if row.findings.iter().all(|finding| finding.message != why) {
                self.paragraph(INDENT, &why, Tint::None)?;
            }
            for finding in &row.findings {
                let line = format!("{} {}: {}", finding.severity.as_str(), finding.kind.as_str(), finding.message);
                self.paragraph(INDENT, &line, Tint::Severity(Some(finding.severity)))?;
            }
            let fix = row.fix();
            if row.status.severity(true).is_some() && !fix.is_empty() {
                writeln!(self.out, "  fix: {}", printable(&fix))?;
            }
        }
        Ok(())
    }

    fn dependents(&mut self, dependents: &[Dependent]) -> io::Result<()> {
        writeln!(self.out)?;
        if dependents.is_empty() {
            return self.paragraph(0, "Nothing would present it.", Tint::None);
        }
        let mut table = self.look.table();
        table.set_header(["WHAT DEPENDS ON IT", "NOW", "IF IT DIED"]);
        for one in dependents {
            let mut who = format!("{}/{}", one.workload_kind, one.workload_name);
            if one.pod_role != "pod" {
                who = format!("{who} ({})", one.pod_role);
            }
            table.add_row([
                Cell::new(printable(&format!("{who}  {}", one.image))),
                self.cell(one.outlook.as_str().to_owned(), Tint::of(one.outlook)),
                self.cell(one.outlook_without.as_str().to_owned(), Tint::of(one.outlook_without)),
            ]);
        }
        self.print(&mut table, 0, &[1, 2])
    }

    fn lines(&mut self, title: &str, lines: impl Iterator<Item = String>, tint: Tint) -> io::Result<()> {
        let mut first = true;
        for line in lines {
            if std::mem::take(&mut first) {
                writeln!(self.out, "\n{title}")?;
            }
            self.paragraph(INDENT, &line, tint)?;
        }
        Ok(())
    }

    /// Words at an indent, folded at the width.
    fn paragraph(&mut self, indent: u16, text: &str, tint: Tint) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let text = printable(text);
        // Only between words: a name that is cut in two cannot be copied, and a terminal folds it on its own.
        let text = match self.look.width {
            Some(width) => folded(&text, usize::from(width.max(40)) - usize::from(indent)).join("\n"),
            None => text.into_owned(),
        };
        let mut table = Look { width: None, ..self.look }.table();
        table.add_row([self.cell(text, tint)]);
        if let Some(column) = table.column_mut(0) {
            column.set_padding((indent, 0));
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn cell(&self, text: String, tint: Tint) -> Cell {
        let cell = Cell::new(text);
        if !self.look.colour {
            return cell;
        }
        match tint {
            Tint::Bold => cell.add_attribute(Attribute::Bold),
            Tint::Good => cell.fg(Color::Green),
            Tint::Severity(Some(Severity::Critical)) => cell.fg(Color::Red).add_attribute(Attribute::Bold),
            Tint::Severity(Some(Severity::Warning)) => cell.fg(Color::Yellow),
            Tint::Severity(Some(Severity::Info)) => cell.fg(Color::Cyan),
            Tint::None | Tint::Severity(None) => cell,
        }
    }

    /// The lines of a table, without the blanks that only fill its last column. Columns that are `fixed`
    /// keep their width; the others share what is left.
    fn print(&mut self, table: &mut Table, indent: u16, fixed: &[usize]) -> io::Result<()> {
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((if index == 0 { indent } else { 0 }, 2));
            if self.look.width.is_some() && fixed.contains(&index) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Words in lines of at most so many characters, but for a word that is longer than that.
fn folded(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
