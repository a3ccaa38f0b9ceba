//! Queues: who may be asked next, fairly over hosts, one exchange per login at a time.
//!
//! Asks stand in lanes: all asks of one login share a lane, every other ask has a lane of its own. A lane has at most one
//! ask in flight. Lanes stand in the queue of their host. Everything is kept sorted, so that nothing here ever walks all
//! asks: a pop costs the number of hosts that have something due, and the logarithm of the number of asks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::entry::jittered;
use crate::plan::Moment;

/// Number of an ask.
pub(super) type AskNo = u64;
/// Number of a lane.
pub(super) type LaneNo = u64;
type HostNo = u64;

/// When a queued ask may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// Where it stands in the order, and from when on it may be popped. Before `due` for an urgent ask that is due now.
    pub(super) key: Moment,
    /// When it became or becomes due; the measure of lateness.
    pub(super) due: Moment,
    /// Whether it counts against the access checks of its login.
    pub(super) budgeted: bool,
    /// Grows with each ask that is queued: of two with one key the one goes first that waits for longer. By any other
    /// order one of them could lose for ever.
    pub(super) turn: u64,
}

impl Slot {
    /// Due at a moment, and not before anything that is due earlier.
    pub(super) fn at(due: Moment, budgeted: bool) -> Self {
        Self { key: due, due, budgeted, turn: 0 }
    }
}

/// What a lane keeps of a slot: key, turn, ask, due time.
type Place = (Moment, u64, AskNo, Moment);
/// What a host keeps of the first ask of a lane: key, turn, due time.
type Head = (Moment, u64, Moment);

/// What bounds the access checks of one login.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// How many per round.
    pub(super) per_round: usize,
    /// Length of a round.
    pub(super) round: Duration,
}

#[derive(Debug)]
struct Lane {
    host: HostNo,
    /// 0 to 1, from the hash of what the lane is for.
    fraction: f64,
    in_flight: bool,
    free: BTreeSet<Place>,
    budgeted: BTreeSet<Place>,
    round_began: Moment,
    round_ends: Moment,
    asked_in_round: usize,
    rounds: u32,
    /// Its entry in the queue of the host.
    head: Option<Head>,
}

impl Lane {
    fn next_head(&self, budget: Budget) -> Option<Head> {
        if self.in_flight {
            return None;
        }
        let free = self.free.first().map(|(key, turn, _, due)| (*key, *turn, *due));
        let opens = self.round_opens(budget);
        let budgeted = self.budgeted.first().map(|(key, turn, _, due)| ((*key).max(opens), *turn, (*due).max(opens)));
        free.into_iter().chain(budgeted).min()
    }

    /// From when on an access check goes.
    fn round_opens(&self, budget: Budget) -> Moment {
        if self.asked_in_round < budget.per_round { self.round_began } else { self.round_ends }
    }

    /// Take the ask that the head stands for.
    fn take_head(&mut self, now: Moment, budget: Budget) -> Option<AskNo> {
        let (key, turn, _) = self.head?;
        if self.free.first().is_some_and(|(free, free_turn, ..)| (*free, *free_turn) <= (key, turn)) {
            return self.free.pop_first().map(|(_, _, ask, _)| ask);
        }
        let (_, _, ask, _) = self.budgeted.pop_first()?;
        if self.rounds == 0 || now >= self.round_ends {
            self.round_began = now;
            self.round_ends = now.after(jittered(budget.round, self.rounds, self.fraction));
            self.rounds = self.rounds.saturating_add(1);
            self.asked_in_round = 0;
        }
        self.asked_in_round += 1;
        Some(ask)
    }
}

#[derive(Debug)]
struct Host {
    name: Arc<str>,
    /// Lanes by the key of their first ask.
    lanes: BTreeSet<(Moment, u64, LaneNo)>,
    /// The same lanes by due time.
    dues: BTreeSet<(Moment, LaneNo)>,
    /// How many lanes belong here, queued or not.
    members: usize,
    hold: Moment,
    in_flight: usize,
    /// When its turn was last, counted in pops.
    turn: u64,
    /// Its entry in the list of hosts by due time.
    listed: Option<Moment>,
}

/// The queues of all hosts.
#[derive(Debug)]
pub(super) struct Queues {
    budget: Budget,
    concurrency: usize,
    lanes: HashMap<LaneNo, Lane>,
    hosts: HashMap<HostNo, Host>,
    by_name: HashMap<Arc<str>, HostNo>,
    /// Hosts of which something can be popped from that moment on.
    due: BTreeSet<(Moment, HostNo)>,
    in_flight: usize,
    next: u64,
    turn: u64,
}

impl Queues {
    pub(super) fn new(concurrency: usize, budget: Budget) -> Self {
        Self {
            budget,
            concurrency: concurrency.max(1),
            lanes: HashMap::new(),
            hosts: HashMap::new(),
            by_name: HashMap::new(),
            due: BTreeSet::new(),
            in_flight: 0,
            next: 0,
            turn: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn host(&mut self, name: &Arc<str>) -> HostNo {
        if let Some(no) = self.by_name.get(name) {
            return *no;
        }
        let no = self.number();
        self.by_name.insert(name.clone(), no);
        let (lanes, dues, hold) = (BTreeSet::new(), BTreeSet::new(), Moment::default());
        let host = Host { name: name.clone(), lanes, dues, members: 0, hold, in_flight: 0, turn: 0, listed: None };
        self.hosts.insert(no, host);
        no
    }

    /// A new lane of a host.
    pub(super) fn add_lane(&mut self, host: &Arc<str>, fraction: f64) -> LaneNo {
        let host = self.host(host);
        let no = self.number();
        let lane = Lane {
            host,
            fraction,
            in_flight: false,
            free: BTreeSet::new(),
            budgeted: BTreeSet::new(),
            round_began: Moment::default(),
            round_ends: Moment::default(),
            asked_in_round: 0,
            rounds: 0,
            head: None,
        };
        self.lanes.insert(no, lane);
        if let Some(host) = self.hosts.get_mut(&host) {
            host.members += 1;
        }
        no
    }

    /// Forget a lane that has no ask left.
    pub(super) fn remove_lane(&mut self, no: LaneNo) {
        let Some(lane) = self.lanes.remove(&no) else { return };
        let Some(host) = self.hosts.get_mut(&lane.host) else { return };
        host.members -= 1;
        if let Some((key, turn, due)) = lane.head {
            host.lanes.remove(&(key, turn, no));
            host.dues.remove(&(due, no));
        }
        self.list_host(lane.host);
    }

    /// Queue an ask.
    pub(super) fn put(&mut self, lane: LaneNo, ask: AskNo, slot: Slot) {
        if let Some(found) = self.lanes.get_mut(&lane) {
            let set = if slot.budgeted { &mut found.budgeted } else { &mut found.free };
            set.insert((slot.key, slot.turn, ask, slot.due));
            self.list_lane(lane);
        }
    }

    /// Take an ask out of the queue, where it stood under `slot`.
    pub(super) fn take(&mut self, lane: LaneNo, ask: AskNo, slot: Slot) {
        if let Some(found) = self.lanes.get_mut(&lane) {
            let set = if slot.budgeted { &mut found.budgeted } else { &mut found.free };
            set.remove(&(slot.key, slot.turn, ask, slot.due));
            self.list_lane(lane);
        }
    }

    /// Pop what is due. The host with the fewest asks in flight goes first, then the one whose turn is longest ago.
    pub(super) fn pop(&mut self, now: Moment, limit: usize) -> Vec<AskNo> {
        let due = self.due.range(..=(now, HostNo::MAX));
        let mut ready: BTreeSet<(usize, u64, HostNo)> =
            due.filter_map(|(_, no)| self.hosts.get(no).map(|host| (host.in_flight, host.turn, *no))).collect();
        let mut popped = Vec::new();
        while popped.len() < limit {
            let Some((_, _, no)) = ready.pop_first() else { break };
            popped.extend(self.pop_host(no, now));
            if let Some(host) = self.hosts.get(&no).filter(|host| host.listed.is_some_and(|due| due <= now)) {
                ready.insert((host.in_flight, host.turn, no));
            }
        }
        popped
    }

    fn pop_host(&mut self, no: HostNo, now: Moment) -> Option<AskNo> {
        self.turn += 1;
        let (turn, cap) = (self.turn, self.cap());
        let first =
            self.hosts.get(&no).filter(|host| host.in_flight < cap).and_then(|host| host.lanes.first().copied());
        let ask = first.and_then(|(_, _, lane_no)| {
            let lane = self.lanes.get_mut(&lane_no)?;
            let ask = lane.take_head(now, self.budget)?;
            lane.in_flight = true;
            self.in_flight += 1;
            let host = self.hosts.get_mut(&no)?;
            host.in_flight += 1;
            host.turn = turn;
            self.list_lane(lane_no);
            Some(ask)
        });
        // The cap can have shrunk since the host was listed.
        self.list_host(no);
        ask
    }

    /// The exchange of a lane has ended.
    pub(super) fn finish(&mut self, no: LaneNo) {
        let Some(lane) = self.lanes.get_mut(&no).filter(|lane| lane.in_flight) else { return };
        lane.in_flight = false;
        let host = lane.host;
        self.in_flight -= 1;
        if let Some(host) = self.hosts.get_mut(&host) {
            host.in_flight -= 1;
        }
        self.list_lane(no);
        self.list_host(host);
    }

    /// Ask nothing of a host before `until`. A later moment of an earlier call stays.
    pub(super) fn hold(&mut self, name: &Arc<str>, until: Moment) {
        let no = self.host(name);
        if let Some(host) = self.hosts.get_mut(&no) {
            host.hold = host.hold.max(until);
        }
        self.list_host(no);
    }

    /// From when on an ask can be popped that stands in its lane under `slot`.
    pub(super) fn opens(&self, lane: LaneNo, slot: Slot) -> Moment {
        let Some(lane) = self.lanes.get(&lane) else { return slot.key };
        let hold = self.hosts.get(&lane.host).map(|host| host.hold).unwrap_or_default();
        let round = if slot.budgeted { lane.round_opens(self.budget) } else { Moment::default() };
        slot.key.max(hold).max(round)
    }

    /// Forget hosts of which nothing is wanted any more; one that is on hold is remembered until then.
    pub(super) fn prune(&mut self, now: Moment) {
        let by_name = &mut self.by_name;
        self.hosts.retain(|_, host| {
            let keep = host.members > 0 || host.hold > now;
            if !keep {
                by_name.remove(&host.name);
            }
            keep
        });
    }

    /// The moment from which [`Self::pop`] has something to give. Asks that wait for one in flight do not count.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(moment, _)| *moment)
    }

    /// How late the most overdue ask is. What waits for the end of a hold or of a round is not late.
    pub(super) fn lag(&self, now: Moment) -> Duration {
        let late = |host: &Host| host.dues.first().map(|(due, _)| now.since((*due).max(host.hold)));
        self.hosts.values().filter_map(late).max().unwrap_or_default()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Asks in flight at one host. Where there are several hosts, a quarter of the slots is out of reach of any one, so
    /// that a host whose answers never come cannot hold up the others.
    fn cap(&self) -> usize {
        match self.hosts.len() {
            0 | 1 => self.concurrency,
            _ => (self.concurrency - (self.concurrency / 4).max(1)).max(1),
        }
    }

    /// Bring the entry of a lane in the queue of its host in step.
    fn list_lane(&mut self, no: LaneNo) {
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        let head = lane.next_head(self.budget);
        if head == lane.head {
            return;
        }
        let host_no = lane.host;
        let before = std::mem::replace(&mut lane.head, head);
        if let Some(host) = self.hosts.get_mut(&host_no) {
            if let Some((key, turn, due)) = before {
                host.lanes.remove(&(key, turn, no));
                host.dues.remove(&(due, no));
            }
            if let Some((key, turn, due)) = head {
                host.lanes.insert((key, turn, no));
                host.dues.insert((due, no));
            }
        }
        self.list_host(host_no);
    }

    /// Bring the entry of a host in the list of hosts in step.
    fn list_host(&mut self, no: HostNo) {
        let cap = self.cap();
        let Some(host) = self.hosts.get_mut(&no) else { return };
        let first = host.lanes.first().filter(|_| host.in_flight < cap);
        let listed = first.map(|(key, ..)| (*key).max(host.hold));
        if listed != host.listed {
            if let Some(before) = std::mem::replace(&mut host.listed, listed) {
                self.due.remove(&(before, no));
            }
            if let Some(listed) = listed {
                self.due.insert((listed, no));
            }
        }
    }
}

#[cfg(test)]
impl Queues {
    /// Lanes, hosts and queued asks.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let queued = self.lanes.values().map(|lane| lane.free.len() + lane.budgeted.len()).sum();
        assert_eq!(self.by_name.len(), self.hosts.len());
        (self.lanes.len(), self.hosts.len(), queued)
    }

    /// Whether an ask stands in its lane under a slot.
    pub(super) fn holds_slot(&self, lane: LaneNo, ask: AskNo, slot: Slot) -> bool {
        let lane = &self.lanes[&lane];
        let set = if slot.budgeted { &lane.budgeted } else { &lane.free };
        set.contains(&(slot.key, slot.turn, ask, slot.due))
    }
}
