//! A store, a clock that is set, and calls under the terms of a configuration.

#[allow(
    clippy::duplicate_mod,
    reason = "a test may use both this and what is below `support`"
)]
mod lifted;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tollgate::broker::Policy;
use tollgate::clock::{Clock, SetClock};
use tollgate::config::{Generation, Source, Sources, load};
use tollgate::domain::{
    AgentName, Amounts, Call, CallId, Claim, Dimension, Findings, Fingerprint, Halt, Limit, Offer,
    Outcome, Owner, Place, Principal, Reach, Refusal, RunId, Scope, ServerName, Standing, Subject,
    Tier, ToolFault,
};
use tollgate::measure::price;
use tollgate::ports::{
    Admission, Context, Permit, Posed, Query, Question, Questions, Settlement, Store,
};
use tollgate::store::{LocalStore, Setup};
use tollgate::wire::{Raw, asks::SAMPLING};

#[allow(unused_imports, reason = "not every test lifts limits")]
pub use lifted::{NO_LIMITS, only};

/// See the module.
pub struct World {
    _home: Option<TempDir>,
    place: PathBuf,
    pub clock: Arc<SetClock>,
    pub store: Option<LocalStore>,
    generation: Generation,
    policy: Policy,
    made: u32,
    tune: Tune,
}

/// What a test wants otherwise of the store.
pub type Tune = Box<dyn Fn(Setup) -> Setup + Send + Sync>;

/// What came of an attempt.
pub type Asked = Result<Flying, Box<Refusal>>;

/// A call that was let through.
pub struct Flying {
    pub call: Call,
    pub permit: Permit,
}

impl World {
    /// With this `tollgate.toml` and this `tools.d/shop.toml` (after its command).
    pub fn new(main: &str, shop: &str) -> World {
        World::at("2026-03-02T12:00:00Z", main, shop)
    }

    pub fn at(now: &str, main: &str, shop: &str) -> World {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock::at(now.parse().unwrap()));
        let mut world = World::in_place(home.path(), clock, main, shop);
        world._home = Some(home);
        world
    }

    /// On a state that outlives it.
    pub fn in_place(place: &Path, clock: Arc<SetClock>, main: &str, shop: &str) -> World {
        World::tuned(place, clock, main, shop, Box::new(|setup| setup))
    }

    pub fn tuned(place: &Path, clock: Arc<SetClock>, main: &str, shop: &str, tune: Tune) -> World {
        let generation = generation(main, shop);
        let mut world = World {
            _home: None,
            place: place.to_owned(),
            clock,
            store: None,
            policy: Policy::new(&generation, Owner::parse("ops").unwrap()),
            generation,
            made: 0,
            tune,
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let setup = Setup {
            zone: self.generation.zone.clone(),
            ..Setup::new(&self.place, self.clock.clone())
        };
        let store = LocalStore::open((self.tune)(setup)).unwrap();
        for tool in ["buy", "look", "send"] {
            let definition = Raw::parse(format!("\"{tool}\"").into()).unwrap();
            store
                .pin(&shop(), tool, &definition, Fingerprint([9; 32]))
                .unwrap();
        }
        self.store = Some(store);
    }

    /// Ends tollgate in order and starts it again.
    pub fn restart(&mut self) {
        self.store().keep().unwrap();
        self.store().check().unwrap();
        self.store.take().unwrap().close();
        self.open();
        self.store().check().unwrap();
    }

    /// Starts with another configuration, on what was.
    pub fn reconfigure(&mut self, main: &str, shop: &str) {
        self.generation = generation(main, shop);
        self.policy = Policy::new(&self.generation, Owner::parse("ops").unwrap());
        self.open();
    }

    /// Builds the state anew from the journal.
    pub fn rebuild(&mut self) {
        self.store.take().unwrap().close();
        std::fs::remove_dir_all(self.place.join("state.sled")).unwrap();
        self.open();
    }

    pub fn store(&self) -> &LocalStore {
        self.store.as_ref().unwrap()
    }

    pub fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    /// A call of `buy` by `bot` in run 1 that differs from every other.
    pub fn call(&mut self) -> Call {
        self.made += 1;
        let arguments = format!("{{\"n\":{},\"ids\":[1]}}", self.made);
        self.call_with("bot", "1", "buy", &arguments)
    }

    pub fn call_with(&mut self, agent: &str, run: &str, tool: &str, arguments: &str) -> Call {
        self.made += 1;
        let id = format!("{:06}", self.made);
        self.the_call(&id, agent, run, tool, arguments)
    }

    /// A call of this id that differs from every other.
    pub fn named_call(&self, id: &str, agent: &str, tool: &str) -> Call {
        self.the_call(id, agent, "1", tool, &format!("{{\"id\":\"{id}\"}}"))
    }

    fn the_call(&self, id: &str, agent: &str, run: &str, tool: &str, arguments: &str) -> Call {
        let agent = AgentName::parse(agent).unwrap();
        let rule = self.generation.servers[0].tools.get(tool);
        let tier = match rule.map(|rule| rule.offer) {
            Some(Offer::At(tier)) => tier,
            _ => Tier::Read,
        };
        let raw = Raw::parse(arguments.to_owned().into()).unwrap();
        let prices = self.policy.prices(&shop(), tool);
        let mut findings = Findings::default();
        let ask = price::asks(Some(&raw), &prices).unwrap_or_else(|finding| {
            findings.rules.push(finding);
            Amounts::ZERO.with(Dimension::Calls, 1)
        });
        let named = format!("{agent} {tool} {arguments}");
        Call {
            id: CallId::from_tail(id),
            run: RunId::from_tail(run),
            claim: Claim {
                ask,
                turn: None,
                round: None,
                terms: self.policy.terms_of_call(&agent, &shop(), Some(tool), tier),
                currency: self.generation.currency,
            },
            by: Arc::new(Principal {
                agent,
                owner: Owner::parse("ops").unwrap(),
                reach: Reach::Everything,
            }),
            server: shop(),
            admits: None,
            subject: Subject::Tool(tool.into()),
            offer: Offer::At(tier),
            offer_place: Some(Place {
                file: "tools.d/shop.toml".into(),
                line: 1,
            }),
            tier,
            durable: tier.is_durable(),
            standing: Standing::Defined(Fingerprint([9; 32])),
            findings,
            digest: Fingerprint(*blake3::hash(named.as_bytes()).as_bytes()),
        }
    }

    /// Asks; what passes is under way.
    pub fn ask(&self, call: Call) -> Asked {
        match self.store().admit(&call, &Context::default()).unwrap() {
            Admission::Cleared(intent) => {
                let permit = block_on(intent.permit()).unwrap();
                Ok(Flying { call, permit })
            }
            Admission::Refused(refusal) => Err(Box::new(refusal)),
        }
    }

    /// The server of a call asks the model of its agent; why it must not, if so.
    pub fn asks_the_model(&self, call: &Call) -> Option<String> {
        self.puts(call, SAMPLING, None)
    }

    /// The server of a call asks; why it must not, if so.
    pub fn puts(&self, call: &Call, method: &str, params: Option<Raw>) -> Option<String> {
        let question = Question {
            server: shop(),
            method: method.into(),
            params,
        };
        let limits = call.claim.limits();
        let limits = limits.filter_map(|limit| Some((Scope::of(limit.over, call)?, limit)));
        let limits: Vec<(Scope, &Limit)> = limits.collect();
        let posed = Posed {
            call: &call.id,
            run: &call.run,
            agent: &call.by.agent,
            question: &question,
            number: 1,
            is_declared: true,
            no_sampling: None,
            limits: &limits,
        };
        let no = self.store().posed(&[posed]).unwrap()?;
        Some(no.says)
    }

    /// Ends a call that worked, having cost what was estimated.
    pub fn done(&self, flying: Flying) -> Option<Halt> {
        let ask = flying.call.claim.ask;
        self.ends(flying, done(false), ask)
    }

    /// Ends a call that used so much.
    pub fn ends(&self, flying: Flying, outcome: Outcome, charged: Amounts) -> Option<Halt> {
        let micros = charged.get(Dimension::Time);
        let settlement = Settlement {
            trouble: match &outcome {
                Outcome::Failed(_) | Outcome::Unknown(_) => (true, true),
                Outcome::Done { .. } | Outcome::Asked => (false, false),
            },
            ..Settlement::plain(outcome, Duration::from_micros(micros), charged)
        };
        self.settles(flying, &settlement)
    }

    pub fn settles(&self, flying: Flying, settlement: &Settlement) -> Option<Halt> {
        let Flying { call, permit } = flying;
        let settled = self.store().settle(permit.spend(), &call, settlement);
        settled.unwrap().halt
    }

    /// Ends a call whose server gave way.
    pub fn fails(&self, flying: Flying) -> Option<Halt> {
        let ask = flying.call.claim.ask;
        let exited = ToolFault::Exited("code 1".into());
        self.ends(flying, Outcome::Failed(exited), ask)
    }

    /// Makes a call from beginning to end; the code of the refusal if there is one.
    pub fn makes(&self, call: Call) -> Result<(), &'static str> {
        match self.ask(call) {
            Ok(flying) => {
                self.done(flying);
                Ok(())
            }
            Err(refusal) => Err(refusal.code.as_str()),
        }
    }

    /// The run `1` of `bot` sends something that it has not sent before.
    pub fn sends(&mut self) -> Result<(), &'static str> {
        let arguments = format!("{{\"n\":{}}}", self.now());
        let call = self.call_with("bot", "1", "send", &arguments);
        self.makes(call)
    }

    /// The same for a call that differs from every other.
    pub fn again(&mut self) -> Result<(), &'static str> {
        let call = self.call();
        self.makes(call)
    }

    /// What people were told, oldest first.
    pub fn notices(&self) -> Vec<String> {
        self.records("notice")
            .iter()
            .map(|record| record["notice"].as_str().unwrap().to_owned())
            .filter(|notice| notice != "first_use")
            .collect()
    }

    pub fn records(&self, kind: &str) -> Vec<Value> {
        let mut records = self.all_records();
        records.retain(|record| record["kind"] == kind);
        records
    }

    pub fn all_records(&self) -> Vec<Value> {
        let everything = Query {
            limit: Some(usize::MAX),
            ..Query::default()
        };
        let lines = self.store().query(&everything).unwrap();
        let read = |line: &String| serde_json::from_str(line).unwrap();
        lines.iter().map(read).collect()
    }

    /// Used and reserved of everything together, in its first limit of this name.
    pub fn level(&self, name: &str) -> (u64, u64) {
        let limits = &self.generation.terms.limits;
        let limit = limits.iter().find(|limit| limit.name() == name).unwrap();
        let run = Some(RunId::from_tail("1"));
        let asked = [(Scope::Everything, run, limit.clone())];
        let level = self.store().levels(&asked)[0];
        (level.used, level.reserved)
    }
}

pub fn done(error: bool) -> Outcome {
    Outcome::Done { error, bytes: 10 }
}

pub fn shop() -> ServerName {
    ServerName::parse("shop").unwrap()
}

pub fn generation(main: &str, shop: &str) -> Generation {
    let source = |path: &str, text: String| Source {
        path: path.into(),
        text,
    };
    let sources = Sources {
        dir: "/etc/tollgate".into(),
        main: Some(source("tollgate.toml", main.to_owned())),
        tools: vec![source(
            "tools.d/shop.toml",
            format!("command = \"shop\"\nowner = \"ops\"\nunlisted = \"read\"\n{shop}"),
        )],
    };
    load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
