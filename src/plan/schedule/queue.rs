//! Queues: who may be asked next, fairly over registries and namespaces, one exchange per login at a time.
//!
//! Asks stand in lanes: all asks of one login share a lane, every other ask has a lane of its own. Lanes stand in the stall
//! of one namespace at one host; the stalls of a namespace at the hosts of one entry of the config make its seat; the seats
//! at an entry make a pool. A pop goes down that tree: the pool with the fewest asks in flight, the seat whose turn is
//! longest ago, the lane that waits for longest. Everything is kept sorted, so that nothing here ever walks all asks.

mod listing;
mod tree;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use self::tree::{Host, Pool, Seat, Stall};
use super::lane::{Budget, Lane, Slot};
use super::refusals::Allowance;
use crate::plan::Moment;

/// Number of an ask.
pub(super) type AskNo = u64;
/// Number of a lane.
pub(super) type LaneNo = u64;
/// Number of a stall.
pub(super) type StallNo = u64;
type HostNo = u64;
type SeatNo = u64;
type PoolNo = u64;

/// Where a lane belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address<'a> {
    /// Entry of the config, or another name for hosts that share their places.
    pub(super) pool: &'a Arc<str>,
    /// Whose rate limits count.
    pub(super) host: &'a Arc<str>,
    /// The namespace that it is for.
    pub(super) tenant: &'a Arc<str>,
}

/// The queues of all hosts.
#[derive(Debug)]
pub(super) struct Queues {
    budget: Budget,
    allowance: Allowance,
    concurrency: usize,
    // Boxed, since a map has room for up to twice of what it holds.
    lanes: HashMap<LaneNo, Box<Lane>>,
    stalls: HashMap<StallNo, Box<Stall>>,
    hosts: HashMap<HostNo, Host>,
    seats: HashMap<SeatNo, Seat>,
    pools: HashMap<PoolNo, Pool>,
    host_names: HashMap<Arc<str>, HostNo>,
    pool_names: HashMap<Arc<str>, PoolNo>,
    seat_names: HashMap<(PoolNo, Arc<str>), SeatNo>,
    stall_names: HashMap<(SeatNo, HostNo), StallNo>,
    /// Pools of which something can be popped from that moment on.
    due: BTreeSet<(Moment, PoolNo)>,
    /// Stalls by the moment since which their most overdue ask is late.
    late: BTreeSet<(Moment, StallNo)>,
    in_flight: usize,
    next: u64,
    turn: u64,
    /// The last moment that was told.
    now: Moment,
}

/// What one party may hold of so many places where there are others: a quarter is out of its reach, so that one whose
/// answers never come cannot hold up the others.
fn out_of_several(places: usize) -> usize {
    (places - (places / 4).max(1).min(places)).max(1)
}

impl Queues {
    pub(super) fn new(concurrency: usize, budget: Budget, allowance: Allowance) -> Self {
        Self {
            budget,
            allowance,
            concurrency: concurrency.max(1),
            lanes: HashMap::new(),
            stalls: HashMap::new(),
            hosts: HashMap::new(),
            seats: HashMap::new(),
            pools: HashMap::new(),
            host_names: HashMap::new(),
            pool_names: HashMap::new(),
            seat_names: HashMap::new(),
            stall_names: HashMap::new(),
            due: BTreeSet::new(),
            late: BTreeSet::new(),
            in_flight: 0,
            next: 0,
            turn: 0,
            now: Moment::default(),
        }
    }

    /// Go by other bounds from now on. What was spent stays spent.
    pub(super) fn retune(&mut self, concurrency: usize, budget: Budget, allowance: Allowance) {
        (self.concurrency, self.budget, self.allowance) = (concurrency.max(1), budget, allowance);
        for no in self.lanes.keys().copied().collect::<Vec<_>>() {
            self.list_lane(no);
        }
        for no in self.stalls.keys().copied().collect::<Vec<_>>() {
            self.list_stall(no);
        }
        for no in self.seats.keys().copied().collect::<Vec<_>>() {
            self.list_seat(no);
        }
        self.unpark_all();
    }

    /// A new lane; `suspect` where its exchanges are likely to be refused.
    pub(super) fn add_lane(&mut self, address: Address<'_>, fraction: f64, suspect: bool) -> LaneNo {
        let stall_no = self.stall(address);
        let no = self.number();
        self.lanes.insert(no, Box::new(Lane::new(stall_no, fraction, suspect)));
        if let Some(stall) = self.stalls.get_mut(&stall_no) {
            stall.members += 1;
        }
        no
    }

    /// Forget a lane that has no ask left.
    pub(super) fn remove_lane(&mut self, no: LaneNo) {
        self.unlist_lane(no);
        let Some(lane) = self.lanes.remove(&no) else { return };
        if let Some(stall) = self.stalls.get_mut(&lane.stall) {
            stall.members -= 1;
        }
    }

    /// Bring a lane where it belongs now. What is in flight counts where it began.
    pub(super) fn move_lane(&mut self, no: LaneNo, address: Address<'_>) {
        let Some(from) = self.lanes.get(&no).map(|lane| lane.stall) else { return };
        let to = self.stall(address);
        if from == to {
            return;
        }
        self.unlist_lane(no);
        if let Some(lane) = self.lanes.get_mut(&no) {
            lane.stall = to;
        }
        for (stall, left) in [(from, true), (to, false)] {
            if let Some(stall) = self.stalls.get_mut(&stall) {
                stall.members = if left { stall.members - 1 } else { stall.members + 1 };
            }
        }
        self.list_lane(no);
    }

    /// Whether the exchanges of a lane are likely to be refused.
    pub(super) fn suspect(&mut self, no: LaneNo, suspect: bool) {
        if self.lanes.get(&no).is_some_and(|lane| lane.suspect != suspect) {
            self.unlist_lane(no);
            if let Some(lane) = self.lanes.get_mut(&no) {
                lane.suspect = suspect;
            }
            self.list_lane(no);
        }
    }

    /// Ask nothing of a lane before `until`. A later moment of an earlier call stays.
    pub(super) fn hold_lane(&mut self, no: LaneNo, until: Moment) {
        if let Some(lane) = self.lanes.get_mut(&no) {
            lane.hold = lane.hold.max(until);
            self.list_lane(no);
        }
    }

    /// Queue an ask, for a namespace.
    pub(super) fn put(&mut self, lane: LaneNo, ask: AskNo, slot: Slot, tenant: &Arc<str>) {
        if let Some(found) = self.lanes.get_mut(&lane) {
            found.put(ask, slot, tenant);
            self.list_lane(lane);
        }
    }

    /// Take an ask out of the queue, where it stood under `slot` for a namespace.
    pub(super) fn take(&mut self, lane: LaneNo, ask: AskNo, slot: Slot, tenant: &Arc<str>) {
        if let Some(found) = self.lanes.get_mut(&lane) {
            found.take(ask, slot, tenant);
            self.list_lane(lane);
        }
    }

    /// Pop what is due.
    pub(super) fn pop(&mut self, now: Moment, limit: usize) -> Vec<AskNo> {
        // Time never goes back, whatever is told.
        self.now = self.now.max(now);
        let now = self.now;
        let due = self.due.range(..=(now, PoolNo::MAX));
        let mut ready: BTreeSet<(usize, u64, PoolNo)> =
            due.filter_map(|(_, no)| self.pools.get(no).map(|pool| (pool.in_flight, pool.turn, *no))).collect();
        let mut popped = Vec::new();
        while popped.len() < limit {
            let Some((_, _, no)) = ready.pop_first() else { break };
            let Some(ask) = self.pop_pool(no, now) else { continue };
            popped.push(ask);
            if let Some(pool) = self.pools.get(&no).filter(|pool| pool.listed.is_some_and(|due| due <= now)) {
                ready.insert((pool.in_flight, pool.turn, no));
            }
        }
        popped
    }

    fn pop_pool(&mut self, no: PoolNo, now: Moment) -> Option<AskNo> {
        loop {
            let seat_no = self.next_seat(no, now)?;
            let (_, stall_no) = *self.seats.get(&seat_no)?.due.first()?;
            let host_no = self.stalls.get(&stall_no)?.host;
            if self.free_places(host_no) > 0 {
                return self.pop_stall(stall_no, now);
            }
            self.park(stall_no, host_no);
        }
    }

    /// The seat whose turn is longest ago; every other time the one of those with something urgent, so that a change shows
    /// soon, and those without are still served.
    fn next_seat(&mut self, no: PoolNo, now: Moment) -> Option<SeatNo> {
        let cap = self.pool_cap();
        let pool = self.pools.get_mut(&no).filter(|pool| pool.in_flight < cap)?;
        while let Some((_, seat_no)) = pool.later.first().filter(|(due, _)| *due <= now).copied() {
            pool.later.pop_first();
            let seat = self.seats.get(&seat_no)?;
            pool.ready.insert((seat.turn, seat_no));
            if seat.listed.is_some_and(|(_, urgent)| urgent) {
                pool.urgent.insert((seat.turn, seat_no));
            }
        }
        let urgent = if pool.pops.is_multiple_of(2) { pool.urgent.first() } else { None };
        urgent.or(pool.ready.first()).map(|(_, seat)| *seat)
    }

    fn pop_stall(&mut self, no: StallNo, now: Moment) -> Option<AskNo> {
        let stall = self.stalls.get_mut(&no)?;
        let opens = stall.bucket.opens(self.allowance);
        let suspect = stall.suspects.lanes.first().filter(|_| opens <= now);
        let (_, _, lane_no) = *stall.trusted.lanes.first().into_iter().chain(suspect).min()?;
        let lane = self.lanes.get_mut(&lane_no)?;
        let ask = lane.take_head(now, self.budget)?;
        lane.in_flight = Some((no, lane.suspect));
        if lane.suspect {
            stall.bucket.spend(now, self.allowance);
        }
        stall.in_flight += 1;
        let (host_no, seat_no) = (stall.host, stall.seat);
        self.in_flight += 1;
        self.turn += 1;
        if let Some(host) = self.hosts.get_mut(&host_no) {
            host.in_flight += 1;
        }
        if let Some(seat) = self.seats.get_mut(&seat_no) {
            seat.in_flight += 1;
            let before = std::mem::replace(&mut seat.turn, self.turn);
            if let Some(pool) = self.pools.get_mut(&seat.pool) {
                pool.in_flight += 1;
                pool.pops += 1;
                pool.turn = self.turn;
                for set in [&mut pool.ready, &mut pool.urgent] {
                    if set.remove(&(before, seat_no)) {
                        set.insert((self.turn, seat_no));
                    }
                }
            }
        }
        self.list_lane(lane_no);
        self.list_stall(no);
        self.list_seat(seat_no);
        Some(ask)
    }

    /// The exchange of a lane has ended, and was `refused` or not.
    pub(super) fn finish(&mut self, no: LaneNo, refused: bool) {
        let Some((stall_no, spent)) = self.lanes.get_mut(&no).and_then(|lane| lane.in_flight.take()) else { return };
        self.in_flight -= 1;
        if let Some(stall) = self.stalls.get_mut(&stall_no) {
            stall.in_flight -= 1;
            if spent && !refused {
                stall.bucket.give_back(self.allowance);
            }
            let (host_no, seat_no) = (stall.host, stall.seat);
            if let Some(host) = self.hosts.get_mut(&host_no) {
                host.in_flight -= 1;
            }
            self.unpark(host_no);
            if let Some(seat) = self.seats.get_mut(&seat_no) {
                seat.in_flight -= 1;
                if let Some(pool) = self.pools.get_mut(&seat.pool) {
                    pool.in_flight -= 1;
                }
            }
            self.list_stall(stall_no);
            self.list_seat(seat_no);
        }
        self.list_lane(no);
    }

    /// How many more places a host may take from the others of its pool.
    fn free_places(&self, no: HostNo) -> usize {
        let Some(host) = self.hosts.get(&no) else { return 0 };
        let alone = self.pools.get(&host.pool).is_some_and(|pool| pool.hosts == 1);
        if alone { usize::MAX } else { out_of_several(self.pool_cap()).saturating_sub(host.in_flight) }
    }

    fn park(&mut self, stall_no: StallNo, host: HostNo) {
        if let Some(stall) = self.stalls.get_mut(&stall_no) {
            stall.parked = true;
        }
        if let Some(host) = self.hosts.get_mut(&host) {
            host.parked.push_back(stall_no);
        }
        self.list_stall(stall_no);
    }

    /// Let as many stalls try again as the host has free places. One that has nothing to ask by now takes none.
    fn unpark(&mut self, no: HostNo) {
        // When nothing of it is in flight any more, nobody else would wake those that are left.
        let idle = self.hosts.get(&no).is_some_and(|host| host.in_flight == 0);
        let mut free = if idle { usize::MAX } else { self.free_places(no) };
        while free > 0 {
            let Some(stall_no) = self.hosts.get_mut(&no).and_then(|host| host.parked.pop_front()) else { return };
            if let Some(stall) = self.stalls.get_mut(&stall_no) {
                stall.parked = false;
            }
            self.list_stall(stall_no);
            let listed = self.stalls.get(&stall_no).and_then(|stall| stall.listed);
            free -= usize::from(listed.is_some_and(|(moment, _)| moment <= self.now));
        }
    }

    /// What a host may have in flight changed.
    fn unpark_all(&mut self) {
        for no in self.hosts.keys().copied().collect::<Vec<_>>() {
            self.unpark(no);
        }
    }

    /// Ask nothing of a host before `until`. A later moment of an earlier call stays.
    pub(super) fn hold(&mut self, name: &Arc<str>, until: Moment) {
        let no = self.host(name, name);
        let Some(host) = self.hosts.get_mut(&no) else { return };
        host.hold = host.hold.max(until);
        for stall in host.stalls.clone() {
            self.list_stall(stall);
        }
    }

    /// Until when nothing is asked of each host.
    pub(super) fn holds(&self) -> impl Iterator<Item = (&Arc<str>, Moment)> {
        self.hosts.values().filter(|host| host.hold > Moment::default()).map(|host| (&host.name, host.hold))
    }

    /// From when on an ask can be popped that stands in its lane under `slot`.
    pub(super) fn opens(&self, lane: LaneNo, slot: Slot) -> Moment {
        let Some(lane) = self.lanes.get(&lane) else { return slot.key };
        let Some(stall) = self.stalls.get(&lane.stall) else { return slot.key };
        let hold = self.hosts.get(&stall.host).map(|host| host.hold).unwrap_or_default();
        let round = if slot.budgeted { lane.round_opens(self.budget) } else { Moment::default() };
        let allowed = if lane.suspect { stall.bucket.opens(self.allowance) } else { Moment::default() };
        slot.key.max(hold).max(lane.hold).max(round).max(allowed)
    }

    /// The moment from which [`Self::pop`] has something to give. Asks that wait for one in flight do not count.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(moment, _)| *moment)
    }

    /// Since when the most overdue ask is late, or from when on one will be. What waits for the end of a hold or of a round,
    /// or for the allowance of its namespace, is not late.
    pub(super) fn late_since(&self) -> Option<Moment> {
        self.late.first().map(|(moment, _)| *moment)
    }

    /// Namespaces whose allowance for refusals is used up, with the host and how many lanes are due and wait for it.
    pub(super) fn waiting(&self, now: Moment) -> Vec<(Arc<str>, Arc<str>, usize)> {
        let mut waiting = Vec::new();
        for stall in self.stalls.values().filter(|stall| stall.bucket.opens(self.allowance) > now) {
            let due = stall.suspects.dues.iter().take_while(|(due, _)| *due <= now).count();
            let (Some(seat), Some(host)) = (self.seats.get(&stall.seat), self.hosts.get(&stall.host)) else { continue };
            if due > 0 && host.hold <= now {
                waiting.push((Arc::clone(&seat.tenant), Arc::clone(&host.name), due));
            }
        }
        waiting.sort();
        waiting
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Asks in flight at one pool.
    fn pool_cap(&self) -> usize {
        if self.pools.len() > 1 { out_of_several(self.concurrency) } else { self.concurrency }
    }
}

#[cfg(test)]
impl Queues {
    /// Lanes, hosts and queued asks.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let queued = self.lanes.values().map(|lane| lane.len()).sum();
        assert_eq!(self.host_names.len(), self.hosts.len());
        assert_eq!(self.pool_names.len(), self.pools.len());
        assert_eq!(self.seat_names.len(), self.seats.len());
        assert_eq!(self.stall_names.len(), self.stalls.len());
        if self.hosts.is_empty() {
            assert!(self.pools.is_empty() && self.seats.is_empty() && self.stalls.is_empty());
            assert!(self.due.is_empty() && self.late.is_empty());
        }
        (self.lanes.len(), self.hosts.len(), queued)
    }

    /// Whether an ask stands in its lane under a slot.
    pub(super) fn holds_slot(&self, lane: LaneNo, ask: AskNo, slot: Slot, tenant: &Arc<str>) -> bool {
        self.lanes[&lane].holds_slot(ask, slot, tenant)
    }
}
