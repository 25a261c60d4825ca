//! The answers to the command line.
//!
//! What reads the journal does so on a thread of its own: calls go on meanwhile.

use std::{collections::BTreeSet, sync::Arc};

use super::{Connected, Tollgate, follow};
use crate::{
    broker::{self, Happened, NotJudged},
    config::{Agents, suggest},
    control::{
        GateRow, Happening, Judged, PinRow, PinTexts, Question, Records, Refused, RefusedCode,
        Reply, Status, StopOrder, StopReport, StruckRow, Trial, Unknown, Wrong,
    },
    domain::{Fault, Fingerprint, Offer, ServerName, Stop, StopScope, Subject, shown},
    gate::{GATES, Verdict},
    ports::{Page, Pin, Store},
    store::{recorded_name, stop_file},
    wire::{Node, Raw},
};

/// Lines of stderr that one look at a server shows.
const STDERR_LINES: usize = 50;

impl Tollgate {
    pub(super) async fn answer(&self, question: Question) -> Result<Reply, Refused> {
        match question {
            Question::Status => Ok(Reply::Status(self.status())),
            Question::Tools => Ok(Reply::Tools(self.tool_rows())),
            Question::Servers => Ok(Reply::Servers(self.server_rows())),
            Question::Server { name } => self.server(&name),
            Question::Stop(order) => self.stop(order).await,
            Question::Stops => Ok(Reply::Stops(self.broker.store().stops().all().to_vec())),
            Question::Resume { scope, shown, by } => self.resume(scope, shown, by).await,
            Question::Try(trial) => self.trial(trial).await,
            Question::Call { id } => {
                let lines = self.read(move |store| store.records_of(&id)).await?;
                Ok(Reply::Records(self.records(Page {
                    upto: 0,
                    lines,
                    ..Page::default()
                })))
            }
            Question::Audit(query) => {
                let query = self.query_of(*query);
                let page = self.read(move |store| store.page(&query)).await?;
                Ok(Reply::Records(self.records(page)))
            }
            Question::Follow(query) => {
                let news = self.broker.store().follow();
                let read = |wanted| self.read(move |store| store.page(&wanted));
                let page = follow::next(self.query_of(*query), news, read).await?;
                Ok(Reply::Records(self.records(page)))
            }
            Question::Verify => Ok(Reply::Verified(self.read(|store| store.verify()).await?)),
            Question::Pins => Ok(Reply::Pins(
                self.broker.store().pins().into_iter().map(row).collect(),
            )),
            Question::Pin { title } => self.pinned(title).map(|pin| texts(&pin)),
            Question::Accept { title, seen, by } => {
                let Pin { server, tool, .. } = self.pinned(title)?;
                let seen = Fingerprint::parse(&seen)
                    .ok_or_else(|| not_found(format!("`{seen}` is not a fingerprint")))?;
                let changed = self.broker.accept(server, tool, seen, by).await;
                let changed = changed.map_err(unavailable)?;
                Ok(Reply::Accepted { changed })
            }
            Question::CheckState => Ok(Reply::StateChecked {
                says: self.read(|store| store.check()).await?,
            }),
            Question::Budget(query) => self.budget(&query),
            Question::Extend(order) => self.extend(order).await,
            Question::CloseBreaker(order) => self.close_breaker(order).await,
            Question::Halts => Ok(Reply::Halts(self.halt_rows())),
            Question::Clear { agent, shown, by } => self.clear(agent, shown, by).await,
        }
    }

    fn status(&self) -> Status {
        Status {
            version: crate::control::proto::VERSION.to_owned(),
            pid: std::process::id(),
            up_since: self.up_since,
            config: self.place.config.display().to_string(),
            generation: 1,
            agents: self.guests().values().map(Connected::row).collect(),
            servers: self.server_rows(),
            latest: self.broker.latest().into_iter().map(happening).collect(),
            stops: self.broker.store().stops().all().to_vec(),
            halts: self.halt_rows(),
            breakers: self.breaker_rows(),
            changed: {
                let pins = self.broker.store().pins().into_iter();
                pins.filter(|pin| pin.offered.is_some()).count()
            },
            troubles: self.troubles(),
        }
    }

    fn troubles(&self) -> Vec<Wrong> {
        let store = self.broker.store();
        let unrecordable = store.ready().err().map(|fault| Wrong {
            says: format!("nothing passes: {fault}"),
            hint: fault.hint,
        });
        let unkept = store.unkept().map(|why| Wrong {
            says: format!("the state is no longer kept beside the journal: {why}"),
            hint: Some(
                "nothing is lost, and the next start takes longer: tollgate stop-daemon".to_owned(),
            ),
        });
        unrecordable.into_iter().chain(unkept).collect()
    }

    fn server(&self, name: &ServerName) -> Result<Reply, Refused> {
        let health = self.pool.health(STDERR_LINES);
        let health = health.iter().find(|health| health.server == name.as_str());
        self.generation
            .servers
            .iter()
            .find(|server| server.name == *name)
            .map(|server| Reply::Server(self.server_row(server, health)))
            .ok_or_else(|| {
                not_found(format!("there is no server `{name}`"))
                    .hint("`tollgate servers` lists them")
            })
    }

    async fn stop(&self, order: StopOrder) -> Result<Reply, Refused> {
        let at = self.clock.now();
        let StopOrder { scope, by, text } = order;
        tracing::warn!(%scope, by, "stopped");
        let stop = Stop {
            scope: scope.clone(),
            by,
            text,
            at: at.to_string(),
        };
        let broker::Stopped { recorded, calls } =
            self.broker.stop(stop).await.map_err(unavailable)?;
        let begins_none = match &scope {
            StopScope::Run(run) => self.broker.store().run_of(run),
            StopScope::Everything | StopScope::Agent(_) | StopScope::Server(_) => None,
        };
        Ok(Reply::Stopped(StopReport {
            at,
            begins_none,
            unknown: self.unknown(&scope),
            unrecorded: recorded.err().map(|fault| fault.says),
            calls: calls
                .into_iter()
                .map(|struck| StruckRow {
                    title: title(&struck.server, &struck.subject),
                    call: struck.call,
                    agent: struck.agent.to_string(),
                    run: struck.run,
                    became: struck.became,
                })
                .collect(),
        }))
    }

    /// Whether no server or agent goes by the name that a stop names: it holds all the
    /// same, but who wrote it may have meant another.
    fn unknown(&self, scope: &StopScope) -> Option<Unknown> {
        let (name, known): (&str, BTreeSet<String>) = match scope {
            StopScope::Everything | StopScope::Run(_) => return None,
            StopScope::Server(server) => {
                let servers = self.generation.servers.iter();
                let known = servers.map(|server| server.name.to_string());
                (server.as_str(), known.collect())
            }
            StopScope::Agent(agent) => {
                let listed = match &self.generation.agents {
                    Agents::Anyone => None,
                    Agents::Listed(listed) => Some(listed.keys()),
                };
                let mut known: BTreeSet<String> = listed
                    .into_iter()
                    .flatten()
                    .map(ToString::to_string)
                    .collect();
                if known.is_empty() {
                    // Any name may come: those that have are known.
                    let guests = self.guests();
                    let here = guests
                        .values()
                        .map(|guest| &guest.session.principal().agent);
                    known.extend(here.map(ToString::to_string));
                    let runs = self.broker.store().runs().into_iter();
                    known.extend(runs.map(|run| run.agent.to_string()));
                }
                (agent.as_str(), known)
            }
        };
        (!known.contains(name)).then(|| Unknown {
            meant: suggest(name, known.iter().map(String::as_str)).map(str::to_owned),
        })
    }

    /// The store first, then the file: whatever fails in between, it is stopped.
    async fn resume(
        &self,
        scope: StopScope,
        shown: Option<Stop>,
        by: String,
    ) -> Result<Reply, Refused> {
        tracing::warn!(%scope, by, "resumed");
        let stood = self.broker.resume(scope.clone(), shown, by).await;
        let stood = stood.map_err(unavailable)?;
        if !stood && self.broker.store().stops().get(&scope).is_some() {
            return Err(came_since(&format!("{scope} was stopped once more")));
        }
        // Beside the runtime: it may wait for whoever holds the file, and for the disk.
        let file = self.place.stop_file();
        let lifting = {
            let file = file.clone();
            tokio::task::spawn_blocking(move || stop_file::lift(&file, &scope))
        };
        let lay = lifting
            .await
            .unwrap_or_else(|panic| Err(panic.into()))
            .map_err(|cause| {
                Refused::new(
                    RefusedCode::Unavailable,
                    format!("can't change `{}`: {cause}", file.display()),
                )
                .hint("it goes on now, and is stopped again at the next start; remove the file")
            })?;
        Ok(Reply::Resumed {
            lifted: stood || lay,
        })
    }

    async fn trial(&self, trial: Trial) -> Result<Reply, Refused> {
        let Trial {
            agent,
            title,
            arguments,
            run,
        } = trial;
        if let Some(run) = &run {
            self.belongs(run, &agent)?;
        }
        let title = self.title_of(title);
        let arguments = Raw::parse(arguments.into()).ok_or_else(|| {
            Refused::new(RefusedCode::Malformed, "the arguments are not valid JSON")
        })?;
        let judged = self.broker.judge(&agent, run.clone(), &title, &arguments);
        let judged = judged.await;
        let broker::Judged {
            call,
            gates,
            unseen,
        } = judged.map_err(|why| match why {
            NotJudged::UnknownAgent => Refused::new(
                RefusedCode::AgentUnknown,
                format!("the configuration does not list an agent `{agent}`"),
            ),
            NotJudged::UnknownTool => self.no_such_tool(&title),
            NotJudged::Wrong(says) => Refused::new(RefusedCode::Malformed, says)
                .hint("the agent would get the same error of the protocol"),
        })?;
        Ok(Reply::Judged(Judged {
            title: call.title().to_string(),
            agent,
            owner: call.by.owner.clone(),
            tier: call.tier,
            classified: call.offer != Offer::Unclassified,
            unseen,
            new_run: run.is_none(),
            run,
            gates: rows(gates),
            unrecordable: self.broker.store().ready().err().map(Wrong::from),
        }))
    }

    fn no_such_tool(&self, title: &str) -> Refused {
        let servers = self.generation.servers.iter().map(|server| &server.name);
        let owner = servers.filter(|server| server.tool_of(title).is_some());
        let owner = owner.max_by_key(|server| server.as_str().len());
        let catalog = self.broker.catalog();
        let silent = owner.filter(|server| !catalog.listings().contains_key(*server));
        match silent {
            Some(server) => not_found(format!(
                "server `{server}` has listed no tools: nobody knows whether it has `{}`",
                shown(title)
            ))
            .hint(format!("`tollgate servers {server}` shows why")),
            None => not_found(format!("there is no tool `{}`", shown(title)))
                .hint("`tollgate tools` lists them"),
        }
    }

    /// The accepted definition that a person names.
    fn pinned(&self, given: String) -> Result<Pin, Refused> {
        let title = &self.title_of(given);
        let pins = self.broker.store().pins().into_iter();
        let named = pins.filter(|pin| pin.server.tool_of(title) == Some(&pin.tool));
        let longest = named.max_by_key(|pin| pin.server.as_str().len());
        longest.ok_or_else(|| {
            let says = format!("no definition of `{}` was accepted", shown(title));
            not_found(says).hint("`tollgate pins` lists those that were")
        })
    }

    fn records(&self, page: Page) -> Records {
        let Page {
            lines,
            upto,
            more,
            sought,
        } = page;
        Records {
            lines,
            upto,
            more,
            sought,
            since: self.broker.store().kept_since(),
        }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Refused> {
        let store: Arc<dyn Store> = self.broker.store().clone();
        tokio::task::spawn_blocking(move || work(store.as_ref()))
            .await
            .unwrap_or_else(|_| Err(Fault::new("reading it ended in a panic")))
            .map_err(unavailable)
    }
}

/// What is called, as records have it: a URI can hold a secret.
fn title(server: &ServerName, subject: &Subject) -> String {
    format!("{server}.{}", recorded_name(subject))
}

fn happening(happened: Happened) -> Happening {
    let Happened {
        at,
        call,
        by,
        server,
        subject,
        what,
    } = happened;
    let title = title(&server, &subject);
    Happening {
        at,
        what: format!("{call}  {}  {title}  {what}", by.agent),
    }
}

/// Every gate, those that the call does not reach included.
fn rows(said: Vec<(&'static str, Verdict)>) -> Vec<GateRow> {
    let mut said = said.into_iter();
    GATES
        .iter()
        .map(|gate| match said.next() {
            None => GateRow {
                gate: gate.name.to_owned(),
                says: None,
                code: None,
                remedy: None,
                rule: None,
            },
            Some((name, Verdict::Pass(says) | Verdict::With(_, says))) => GateRow {
                gate: name.to_owned(),
                says: Some(says),
                code: None,
                remedy: None,
                rule: None,
            },
            Some((name, Verdict::Refuse(refusal))) => GateRow {
                gate: name.to_owned(),
                says: Some(refusal.says),
                code: Some(refusal.code.as_str().to_owned()),
                remedy: refusal.remedy,
                rule: refusal.rule,
            },
        })
        .collect()
}

fn row(pin: Pin) -> PinRow {
    PinRow {
        changed: pin.offered.is_some(),
        server: pin.server,
        tool: pin.tool,
        accepted: pin.accepted.to_string(),
        since: pin.since,
        by: pin.by,
    }
}

fn texts(pin: &Pin) -> Reply {
    Reply::Pin(PinTexts {
        accepted: canonical(&pin.definition),
        offered: pin.offered.as_ref().map(canonical),
        fingerprint: pin.offered.as_ref().and_then(|offered| {
            let node = Node::parse(offered.text()).ok()?;
            Some(node.fingerprint().to_string())
        }),
    })
}

fn canonical(definition: &Raw) -> String {
    Node::parse(definition.text())
        .map_or_else(|_| definition.text().to_owned(), |node| node.canonical())
}

fn not_found(says: String) -> Refused {
    Refused::new(RefusedCode::NotFound, says)
}

/// What somebody wants to lift is not what they were shown.
pub(super) fn came_since(what: &str) -> Refused {
    let says = format!("nothing is lifted: {what} while you were asked");
    Refused::new(RefusedCode::NotFound, says).hint("look again: tollgate resume")
}

fn unavailable(fault: Fault) -> Refused {
    let refused = Refused::new(RefusedCode::Unavailable, fault.says);
    match fault.hint {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}
