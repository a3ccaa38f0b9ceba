//! What the tree of queues is made of, how it grows, and what of it is forgotten.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Address, HostNo, LaneNo, PoolNo, Queues, SeatNo, StallNo};
use crate::plan::Moment;
use crate::plan::schedule::lane::Head;
use crate::plan::schedule::refusals::Bucket;
use crate::plan::schedule::sorted::Sorted;

#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: Arc<str>,
    pub(super) pool: PoolNo,
    pub(super) stalls: BTreeSet<StallNo>,
    /// Stalls whose turn came while the host had no place left, first come first served.
    pub(super) parked: VecDeque<StallNo>,
    pub(super) hold: Moment,
    pub(super) in_flight: usize,
}

/// Lanes by the key of their first ask, and by its due time.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) lanes: Sorted<(Moment, u64, LaneNo)>,
    pub(super) dues: Sorted<(Moment, LaneNo)>,
}

impl Line {
    pub(super) fn insert(&mut self, no: LaneNo, head: Head) {
        self.lanes.insert((head.key, head.turn, no));
        self.dues.insert((head.due, no));
    }

    pub(super) fn remove(&mut self, no: LaneNo, head: Head) {
        self.lanes.remove(&(head.key, head.turn, no));
        self.dues.remove(&(head.due, no));
    }
}

/// The lanes of one namespace at one host.
#[derive(Debug)]
pub(super) struct Stall {
    pub(super) host: HostNo,
    pub(super) seat: SeatNo,
    pub(super) trusted: Line,
    /// Lanes that are likely to be refused: they wait for the allowance.
    pub(super) suspects: Line,
    pub(super) bucket: Bucket,
    /// Until when the bucket was empty the last time.
    pub(super) allowed: Moment,
    /// How many lanes belong here, queued or not.
    pub(super) members: usize,
    pub(super) in_flight: usize,
    pub(super) parked: bool,
    /// Its entry in the queue of the seat, and whether the ask in front is urgent.
    pub(super) listed: Option<(Moment, bool)>,
    /// Its entry in the list of what is late.
    pub(super) late: Option<Moment>,
}

/// One namespace at the hosts of one entry of the config.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) pool: PoolNo,
    pub(super) tenant: Arc<str>,
    pub(super) stalls: usize,
    pub(super) due: Sorted<(Moment, StallNo)>,
    pub(super) in_flight: usize,
    /// When its turn was last, counted in pops.
    pub(super) turn: u64,
    pub(super) listed: Option<(Moment, bool)>,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) name: Arc<str>,
    pub(super) hosts: usize,
    pub(super) seats: BTreeSet<SeatNo>,
    /// All seats of which something can be popped, by the moment from which on.
    pub(super) due: BTreeSet<(Moment, SeatNo)>,
    /// Those of them whose moment was not reached at the last pop.
    pub(super) later: BTreeSet<(Moment, SeatNo)>,
    /// Those whose moment was, by turn; and of these the ones with an urgent ask in front.
    pub(super) ready: BTreeSet<(u64, SeatNo)>,
    pub(super) urgent: BTreeSet<(u64, SeatNo)>,
    pub(super) in_flight: usize,
    pub(super) pops: u64,
    pub(super) turn: u64,
    pub(super) listed: Option<Moment>,
}

impl Queues {
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn pool(&mut self, name: &Arc<str>) -> PoolNo {
        if let Some(no) = self.pool_names.get(name) {
            return *no;
        }
        let no = self.number();
        self.pool_names.insert(Arc::clone(name), no);
        let pool = Pool {
            name: Arc::clone(name),
            hosts: 0,
            seats: BTreeSet::new(),
            due: BTreeSet::new(),
            later: BTreeSet::new(),
            ready: BTreeSet::new(),
            urgent: BTreeSet::new(),
            in_flight: 0,
            pops: 0,
            turn: 0,
            listed: None,
        };
        self.pools.insert(no, pool);
        self.list_pools();
        no
    }

    /// A host stays in the pool that it was first seen in.
    pub(super) fn host(&mut self, name: &Arc<str>, pool: &Arc<str>) -> HostNo {
        if let Some(no) = self.host_names.get(name) {
            return *no;
        }
        let pool = self.pool(pool);
        let no = self.number();
        self.host_names.insert(Arc::clone(name), no);
        let (stalls, parked, hold) = (BTreeSet::new(), VecDeque::new(), Moment::default());
        self.hosts.insert(no, Host { name: Arc::clone(name), pool, stalls, parked, hold, in_flight: 0 });
        if let Some(pool) = self.pools.get_mut(&pool) {
            pool.hosts += 1;
        }
        no
    }

    fn seat(&mut self, pool_no: PoolNo, tenant: &Arc<str>) -> SeatNo {
        if let Some(no) = self.seat_names.get(&(pool_no, Arc::clone(tenant))) {
            return *no;
        }
        let no = self.number();
        self.seat_names.insert((pool_no, Arc::clone(tenant)), no);
        let (tenant, due) = (Arc::clone(tenant), Sorted::default());
        self.seats.insert(no, Seat { pool: pool_no, tenant, stalls: 0, due, in_flight: 0, turn: 0, listed: None });
        if let Some(pool) = self.pools.get_mut(&pool_no) {
            pool.seats.insert(no);
        }
        self.list_seats(pool_no);
        no
    }

    pub(super) fn stall(&mut self, address: Address<'_>) -> StallNo {
        let host_no = self.host(address.host, address.pool);
        let pool = self.hosts.get(&host_no).map_or(0, |host| host.pool);
        let seat = self.seat(pool, address.tenant);
        if let Some(no) = self.stall_names.get(&(seat, host_no)) {
            return *no;
        }
        let no = self.number();
        self.stall_names.insert((seat, host_no), no);
        let stall = Stall {
            host: host_no,
            seat,
            trusted: Line::default(),
            suspects: Line::default(),
            bucket: Bucket::default(),
            allowed: Moment::default(),
            members: 0,
            in_flight: 0,
            parked: false,
            listed: None,
            late: None,
        };
        self.stalls.insert(no, Box::new(stall));
        if let Some(host) = self.hosts.get_mut(&host_no) {
            host.stalls.insert(no);
        }
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.stalls += 1;
        }
        no
    }

    /// Forget what nothing is wanted of any more; a host on hold is remembered until then, and a namespace until it may
    /// cause as many refusals as if it had never been there.
    pub(in crate::plan::schedule) fn prune(&mut self, now: Moment) {
        self.now = self.now.max(now);
        let forgotten =
            |stall: &Stall| stall.members == 0 && stall.in_flight == 0 && !stall.parked && stall.bucket.is_full(now);
        let gone: Vec<StallNo> = self.stalls.iter().filter(|(_, stall)| forgotten(stall)).map(|(no, _)| *no).collect();
        for no in gone {
            let Some(stall) = self.stalls.remove(&no) else { continue };
            self.stall_names.remove(&(stall.seat, stall.host));
            if let Some(host) = self.hosts.get_mut(&stall.host) {
                host.stalls.remove(&no);
            }
            if let Some(seat) = self.seats.get_mut(&stall.seat) {
                seat.stalls -= 1;
            }
        }
        let gone: Vec<SeatNo> = self.seats.iter().filter(|(_, seat)| seat.stalls == 0).map(|(no, _)| *no).collect();
        for no in gone {
            let Some(seat) = self.seats.remove(&no) else { continue };
            self.seat_names.remove(&(seat.pool, seat.tenant));
            if let Some(pool) = self.pools.get_mut(&seat.pool) {
                pool.seats.remove(&no);
            }
            self.list_seats(seat.pool);
        }
        let (host_names, pools) = (&mut self.host_names, &mut self.pools);
        self.hosts.retain(|_, host| {
            let keep = !host.stalls.is_empty() || host.hold > now;
            if !keep {
                host_names.remove(&host.name);
                if let Some(pool) = pools.get_mut(&host.pool) {
                    pool.hosts -= 1;
                }
            }
            keep
        });
        let pool_names = &mut self.pool_names;
        self.pools.retain(|_, pool| {
            if pool.hosts == 0 {
                pool_names.remove(&pool.name);
            }
            pool.hosts > 0
        });
        self.list_pools();
        self.unpark_all();
    }
}
