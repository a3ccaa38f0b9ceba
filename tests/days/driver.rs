//! A patrol whose clock is moved by hand, against a world over real sockets.
//!
//! It is the product's own loop, prober and schedule. While an exchange is in flight, time stands still; when none is, and
//! nobody has anything left to do, both clocks leap to the next moment that somebody sleeps until. So a day costs what its
//! exchanges cost.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use pull_patrol::clock::{Clock, Hands};
use pull_patrol::cluster::{Input, Inventory, Scope, SharedInventory, load};
use pull_patrol::config;
use pull_patrol::metrics::{BuildInfo, DaemonMetrics};
use pull_patrol::outlook::Snapshot;
use pull_patrol::patrol::{ExchangeLost, Parts, Patrol};
use pull_patrol::plan::{Identifier, Moment, Registries};
use pull_patrol::probe::{Lookup, Prober, Settings};
use simulator::{Host, World};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Name of the registry's host.
pub(crate) const REGISTRY: &str = "ghcr.test";
/// Name of the issuer's API.
pub(crate) const API: &str = "api.ghcr.test";

/// How long the patrol's clock has run when a day begins.
const AGE: Duration = Duration::from_secs(1);

/// The key of token ids.
pub(crate) const KEY: [u8; 32] = [7; 32];

/// How a name resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// To the world.
    Here,
    /// Not at all.
    Unknown,
    /// To an address where nobody listens.
    Nobody,
    /// To an address where a listener takes no connection: none comes about.
    Deaf,
    /// The resolver does not answer.
    Silence,
}

/// Where nobody takes connections.
const DEAF: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// More than the queue of its listener holds.
const MOST_QUEUED: usize = 32;

/// A listener that takes no connection: its queue is full of those that were opened here, and the kernel drops all others.
pub(crate) struct Deaf {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Deaf {
    /// One beside this host of the world, at the same port.
    pub(crate) fn beside(world: &World, host: Host) -> Self {
        let port = world.authority(host).rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        let address = SocketAddr::from((DEAF, port));
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(address).expect("a free port");
        let listener = socket.listen(1).expect("it listens");
        let open = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let queue: Vec<TcpStream> = std::iter::from_fn(open).take(MOST_QUEUED).collect();
        assert!(queue.len() < MOST_QUEUED, "connections come about that nobody takes");
        Self { _listener: listener, _queue: queue }
    }
}

/// The resolver. Names are at the world unless told otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<String, Resolution>>>);

impl Names {
    /// From now on a name resolves so.
    pub(crate) fn set(&self, name: &str, resolution: Resolution) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), resolution);
    }
}

impl Lookup for Names {
    fn lookup(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied();
        Box::pin(async move {
            match known.unwrap_or(Resolution::Here) {
                Resolution::Here => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
                Resolution::Nobody => Ok(vec![Ipv4Addr::new(127, 0, 0, 2).into()]),
                Resolution::Deaf => Ok(vec![DEAF.into()]),
                Resolution::Unknown => Err(io::Error::other("no such name")),
                Resolution::Silence => std::future::pending().await,
            }
        })
    }
}

/// The config of a patrol against a world: its ghcr.io and API by name, without a limit of requests.
pub(crate) fn config_text(world: &World, registries: &str, rest: &str) -> String {
    format!(
        "registries:\n  - host: ghcr.io\n    issuer: github\n    endpoint: {}\n    api: {}\n    plainHttp: true\n    \
         allowPrivateAddresses: true\n    requestsPerSecond: 10000\n{registries}{rest}",
        world.ghcr_url(),
        world.github_api_url(),
    )
}

/// The patrol, and everything that moves it.
pub(crate) struct Driver {
    /// The outside.
    pub(crate) world: World,
    /// The hands of the patrol's clock.
    pub(crate) hands: Hands,
    /// The resolver.
    pub(crate) names: Names,
    /// The objects.
    pub(crate) inventory: SharedInventory,
    began: DateTime<Utc>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    run: Pin<Box<dyn Future<Output = Result<(), ExchangeLost>>>>,
}

impl Driver {
    /// A world with named hosts, whose clock stands at `began` and whose connections carry one request each.
    pub(crate) async fn world(seed: u64, began: DateTime<Utc>) -> World {
        let world = World::builder().seed(seed).log_limit(50_000).start().await.expect("free ports");
        world.name(Host::Ghcr, REGISTRY);
        world.name(Host::GithubApi, API);
        world.close_connections();
        world.stop_clock(began);
        world
    }

    /// A patrol that has seen nothing yet; its clock agrees with the world's. Needs a runtime of one thread, so that
    /// nothing happens between two looks of the driver.
    pub(crate) fn start(world: World, config_text: &str, manifests: &str) -> Self {
        let flavor = tokio::runtime::Handle::current().runtime_flavor();
        assert_eq!(flavor, tokio::runtime::RuntimeFlavor::CurrentThread, "the driver needs a runtime of one thread");
        let began = world.now();
        let config = config::parse(config_text, std::path::Path::new("driver.yaml")).expect("a config");
        let registries = Registries::new(&config.registries).expect("registries");
        // A process that has just begun has no burst of requests, and no hand moves while an exchange waits for its slot.
        let (clock, hands) = Clock::moved_by_hand(began - AGE);
        hands.advance(AGE);
        let names = Names::default();
        let prober = Prober::new(Settings { timeout: config.probe.timeout, clock, lookup: Arc::new(names.clone()) });
        let inventory = SharedInventory::new(objects(manifests));
        let patrol = Patrol::new(Parts {
            config,
            registries,
            identifier: Identifier::new(&KEY),
            inventory: inventory.clone(),
            prober,
            metrics: Arc::new(DaemonMetrics::new(BuildInfo::compiled()).expect("counters")),
        });
        let (sender, snapshots) = watch::channel(Arc::default());
        let run = Box::pin(tokio::task::unconstrained(patrol.run(sender, CancellationToken::new())));
        Self { world, hands, names, inventory, began, snapshots, run }
    }

    /// The objects are these from now on.
    pub(crate) fn apply(&self, manifests: &str) {
        apply(&self.inventory, manifests);
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.hands.moment().since(Moment::START.after(AGE))
    }

    /// The world's time, which is the true one.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.world.now()
    }

    /// The latest picture.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Let time pass until a moment of the world's clock; `look` sees every picture on the way, with the time at which it
    /// came.
    pub(crate) async fn until(&mut self, end: DateTime<Utc>, mut look: impl FnMut(DateTime<Utc>, &Snapshot)) {
        let end = Moment::START.after(AGE).after((end - self.began).to_std().unwrap_or_default());
        loop {
            poll_fn(|context| self.settle(context)).await;
            if self.snapshots.has_changed().expect("the patrol runs") {
                let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
                look(self.world.now(), &snapshot);
            }
            let now = self.hands.moment();
            if now >= end {
                return;
            }
            let next = self.hands.next_alarm().map_or(end, |alarm| alarm.min(end));
            let by = next.since(now);
            self.world.advance(TimeDelta::from_std(by).expect("less than a day"));
            self.hands.advance(by);
        }
    }

    /// Ready when the patrol has nothing left to do at this moment, and nothing is in flight.
    fn settle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let flag = Arc::new(Flag { woken: AtomicBool::new(false), parent: context.waker().clone() });
            let waker = Waker::from(Arc::clone(&flag));
            if let Poll::Ready(ended) = self.run.as_mut().poll(&mut Context::from_waker(&waker)) {
                panic!("the patrol ended: {ended:?}");
            }
            if !flag.woken.load(Ordering::SeqCst) {
                return self.hands.poll_idle(context);
            }
        }
    }
}

/// Tells whether somebody was woken since the last look, and wakes the one behind.
struct Flag {
    woken: AtomicBool,
    parent: Waker,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.parent.wake_by_ref();
    }
}

fn objects(manifests: &str) -> Inventory {
    let inventory = load(&[Input::Stdin(manifests.as_bytes().to_vec())], &Scope::default());
    assert_eq!(inventory.problems, [], "{manifests}");
    inventory
}

/// The objects are these from now on.
pub(crate) fn apply(inventory: &SharedInventory, manifests: &str) {
    let fresh = objects(manifests);
    inventory.update(|inventory| {
        *inventory = fresh;
        true
    });
}
