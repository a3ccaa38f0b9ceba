//! Keeping the queues sorted: each change is carried up the tree, from the lane that it began at.

use super::tree::Line;
use super::{LaneNo, PoolNo, Queues, SeatNo, StallNo, out_of_several};
use crate::plan::Moment;

impl Queues {
    /// Take the entry of a lane out of the queue of its stall.
    pub(super) fn unlist_lane(&mut self, no: LaneNo) {
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        let Some(before) = lane.head.take() else { return };
        if let Some(stall) = self.stalls.get_mut(&lane.stall) {
            let queue = if lane.suspect { &mut stall.suspects } else { &mut stall.trusted };
            queue.remove(no, before);
        }
        let stall = lane.stall;
        self.list_stall(stall);
    }

    /// Bring the entry of a lane in the queue of its stall in step.
    pub(super) fn list_lane(&mut self, no: LaneNo) {
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        let head = lane.next_head(self.budget);
        if head == lane.head {
            return;
        }
        let before = std::mem::replace(&mut lane.head, head);
        let stall_no = lane.stall;
        if let Some(stall) = self.stalls.get_mut(&stall_no) {
            let queue = if lane.suspect { &mut stall.suspects } else { &mut stall.trusted };
            if let Some(before) = before {
                queue.remove(no, before);
            }
            if let Some(head) = head {
                queue.insert(no, head);
            }
        }
        self.list_stall(stall_no);
    }

    /// Bring the entries of a stall in the queue of its seat and in the list of what is late in step.
    pub(super) fn list_stall(&mut self, no: StallNo) {
        let Some(stall) = self.stalls.get_mut(&no) else { return };
        let hold = self.hosts.get(&stall.host).map(|host| host.hold).unwrap_or_default();
        // Where the allowance does not bound, its moment says nothing.
        let opens = Some(stall.bucket.opens(self.allowance)).filter(|opens| *opens > self.now);
        stall.allowed = opens.unwrap_or(stall.allowed.min(self.now));
        let opens = opens.unwrap_or_default();
        let first = |line: &Line, opens: Moment| {
            let (key, _, lane) = line.lanes.first()?;
            let urgent = self.lanes.get(lane)?.head.is_some_and(|head| head.is_urgent());
            Some(((*key).max(hold).max(opens), urgent))
        };
        let soonest = first(&stall.trusted, hold).into_iter().chain(first(&stall.suspects, opens));
        let listed = soonest.min_by_key(|(moment, urgent)| (*moment, !urgent)).filter(|_| !stall.parked);
        let due = |line: &Line, opens: Moment| line.dues.first().map(|(due, _)| (*due).max(hold).max(opens));
        let late = due(&stall.trusted, hold).into_iter().chain(due(&stall.suspects, stall.allowed)).min();
        if late != stall.late {
            if let Some(before) = std::mem::replace(&mut stall.late, late) {
                self.late.remove(&(before, no));
            }
            if let Some(late) = late {
                self.late.insert((late, no));
            }
        }
        if listed != stall.listed {
            let before = std::mem::replace(&mut stall.listed, listed);
            let seat_no = stall.seat;
            if let Some(seat) = self.seats.get_mut(&seat_no) {
                if let Some((before, _)) = before {
                    seat.due.remove(&(before, no));
                }
                if let Some((listed, _)) = listed {
                    seat.due.insert((listed, no));
                }
            }
            self.list_seat(seat_no);
        }
    }

    /// Bring the entries of a seat in its pool in step.
    pub(super) fn list_seat(&mut self, no: SeatNo) {
        let cap = self.pool_cap();
        let Some(seat) = self.seats.get_mut(&no) else { return };
        let Some(pool) = self.pools.get_mut(&seat.pool) else { return };
        let cap = if pool.seats.len() > 1 { out_of_several(cap) } else { cap };
        let first = seat.due.first().filter(|_| seat.in_flight < cap);
        let listed = first.and_then(|(moment, stall)| Some((*moment, self.stalls.get(stall)?.listed?.1)));
        if listed != seat.listed {
            if let Some((before, _)) = std::mem::replace(&mut seat.listed, listed) {
                pool.due.remove(&(before, no));
                pool.later.remove(&(before, no));
                pool.ready.remove(&(seat.turn, no));
                pool.urgent.remove(&(seat.turn, no));
            }
            if let Some((listed, _)) = listed {
                pool.due.insert((listed, no));
                pool.later.insert((listed, no));
            }
        }
        let pool = seat.pool;
        self.list_pool(pool);
    }

    /// The number of seats of a pool changed, and with it what each may hold.
    pub(super) fn list_seats(&mut self, no: PoolNo) {
        let seats = self.pools.get(&no).map(|pool| &pool.seats).filter(|seats| seats.len() <= 2);
        for seat in seats.cloned().unwrap_or_default() {
            self.list_seat(seat);
        }
    }

    /// Bring the entry of a pool in the list of pools in step.
    pub(super) fn list_pool(&mut self, no: PoolNo) {
        let cap = self.pool_cap();
        let Some(pool) = self.pools.get_mut(&no) else { return };
        let listed = pool.due.first().filter(|_| pool.in_flight < cap).map(|(moment, _)| *moment);
        if listed != pool.listed {
            if let Some(before) = std::mem::replace(&mut pool.listed, listed) {
                self.due.remove(&(before, no));
            }
            if let Some(listed) = listed {
                self.due.insert((listed, no));
            }
        }
    }

    /// The number of pools changed, and with it what each may hold, and each of their seats.
    pub(super) fn list_pools(&mut self) {
        if self.pools.len() <= 2 {
            for seats in self.pools.values().map(|pool| pool.seats.clone()).collect::<Vec<_>>() {
                for seat in seats {
                    self.list_seat(seat);
                }
            }
        }
    }
}
