//! The schedule as records, and back.

use std::sync::Arc;
use std::time::Duration;

use super::Record;
use super::dial::Dial;
use super::forms::{AskForm, CadenceForm, LoginStandingForm, millis};
use super::record::{AskRecord, HoldRecord};
use crate::plan::{Cadence, Remembered, RememberedAsk};

/// Everything that is remembered of a schedule.
pub fn remember_schedule(remembered: &Remembered, dial: &Dial) -> impl Iterator<Item = Record> {
    let asks = remembered.asks.iter().map(|ask| {
        Record::Ask(AskRecord {
            ask: AskForm::from(&ask.ask),
            due: dial.tell(ask.due),
            parked: ask.parked,
            last: ask.last.map(|(at, cadence)| (dial.tell(at), CadenceForm::from(cadence))),
            repetitions: ask.repetitions,
            unproven: ask.unproven,
            stretch: millis(ask.stretch),
            held: ask.held.map(|until| dial.tell(until)),
            standing: ask.standing.map(LoginStandingForm::from),
        })
    });
    let holds = remembered.holds.iter();
    let holds = holds
        .map(|(host, until)| Record::Hold(HoldRecord { host: host.as_ref().to_owned(), until: dial.tell(*until) }));
    asks.chain(holds)
}

/// What a schedule is to know again. `dial` reads what the earlier process wrote.
pub fn recall_schedule(records: &[Record], dial: &Dial) -> Remembered {
    let mut remembered = Remembered::default();
    for record in records {
        match record {
            Record::Ask(record) => remembered.asks.extend(record.ask.ask().map(|ask| RememberedAsk {
                ask,
                due: dial.moment(record.due),
                parked: record.parked,
                last: record.last.map(|(at, cadence)| (dial.moment(at), Cadence::from(cadence))),
                repetitions: record.repetitions,
                unproven: record.unproven,
                stretch: Duration::from_millis(record.stretch),
                held: record.held.map(|until| dial.moment(until)),
                standing: record.standing.map(Into::into),
            })),
            Record::Hold(record) => {
                remembered.holds.push((Arc::from(record.host.as_str()), dial.moment(record.until)));
            }
            _ => {}
        }
    }
    remembered
}
