//! The files as their authors see them: keys, shapes and tooltips.
//!
//! Nothing is decoded into these types, because a derived decoder stops at the
//! first error and cannot suggest. They are the source of `schemas/`; a test
//! beside the schemas keeps their keys equal to those that are read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::args::FORMATS;
use super::form_limits::{
    ActionForm, AmountOrTableForm, BreakerForm, BudgetForm, CostOrTableForm, LoopsForm, OrNone,
    PathForm, PerForm, RateOrTableForm, TiersForm, WindowsForm,
};

/// tollgate.toml: who may connect, what limits everybody, and how the daemon
/// behaves. The file may be missing: then any agent name may connect, within
/// the usual limits.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "tollgate.toml")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct TollgateForm {
    /// The agents that may connect, each in a table [agents.NAME]. With this
    /// table only these may; without it any name may.
    agents: Option<BTreeMap<String, AgentForm>>,
    /// The record of everything.
    audit: Option<AuditForm>,
    /// How long an agent may go on without a person. Default "2h".
    autonomy: Option<OrNone<DurationForm>>,
    /// When a server or a tool that fails is left alone, unless its file says
    /// otherwise. Default: after 3 failures within 60s, for 60s.
    breaker: Option<OrNone<BreakerForm>>,
    /// How much may be used by all agents together, and by each run. Where
    /// nothing is said, the built-in limits hold.
    budget: Option<OrNone<BudgetForm>>,
    /// The currency in which money is counted, by its code of three letters.
    /// Default "USD".
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    currency: Option<String>,
    /// How long a daemon that was started on demand stays when there is
    /// nothing to do: a duration such as "10m" (the default), or "never".
    #[schemars(regex(pattern = r"^([0-9]+(ms|s|m|h|d)|never)$"))]
    idle_exit: Option<String>,
    /// From which repetition on a call is refused, and the run ended.
    loops: Option<OrNone<LoopsForm>>,
    /// How many new runs an agent may begin. Default "30/h".
    runs: Option<OrNone<PerForm>>,
    /// Whether tool servers may ask the model of an agent's client
    /// (sampling/createMessage). Default true: each time counts as a call.
    sampling: Option<bool>,
    /// An agent that spends so many times faster than it used to is paused.
    /// Default 10.
    spend: Option<OrNone<SpendForm>>,
    /// What is said of all tools of a tier.
    tiers: Option<TiersForm>,
    /// The time zone of days, months and windows: "Europe/Paris". Default "UTC".
    timezone: Option<String>,
    /// When anything may be called at all.
    window: Option<WindowsForm>,
}

/// The record of everything.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct AuditForm {
    /// How long records are kept: a duration such as "90d" (the default), or
    /// "none" to keep them all. What is older goes, file by file, a little each
    /// day; stops and accepted definitions stay.
    #[schemars(regex(pattern = r"^([0-9]+(ms|s|m|h|d)|none)$"))]
    keep: Option<String>,
}
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct SpendForm(#[schemars(range(min = 2))] u32);

/// An agent that may connect.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct AgentForm {
    /// How long it may go on without a person, instead of the others' time.
    autonomy: Option<OrNone<DurationForm>>,
    /// How much it may use. What is said of a run takes the place of the
    /// built-in limits; what is written for everybody holds as well.
    budget: Option<OrNone<BudgetForm>>,
    /// From which repetition on its calls are refused, laid over what is said
    /// for everybody.
    loops: Option<OrNone<LoopsForm>>,
    /// The person or team who answers for this agent.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,64}$"))]
    owner: String,
    /// How often it may call anything.
    rate: Option<RateOrTableForm>,
    /// How many new runs it may begin, instead of the others' number.
    runs: Option<OrNone<PerForm>>,
    /// Whether tool servers may ask the model of its client. False at the top of
    /// the file or in a server's holds as well.
    sampling: Option<bool>,
    /// The tool servers it may use, by the names of their files in tools.d/.
    /// Without this key: all.
    servers: Option<Vec<String>>,
    /// If it spends so many times faster than it used to, it is paused.
    spend: Option<OrNone<SpendForm>>,
    /// Where the token is kept that this agent must show: "env:NAME" or
    /// "file:/path", never the token itself. Needed when agents have different
    /// rights, because any program can claim an agent's name.
    #[schemars(regex(pattern = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$"))]
    token: Option<String>,
    /// When it may call anything.
    window: Option<WindowsForm>,
}

/// A file in tools.d/: one tool server. The file's name is the server's name.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "tools.d/NAME.toml")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ToolsForm {
    /// The agents that may use this server. Without this key: all. Needs an
    /// [agents] table in tollgate.toml.
    agents: Option<Vec<String>>,
    /// The arguments of the command, one entry each. No shell reads them.
    args: Option<Vec<String>>,
    /// When the server, or a tool of it, is left alone because it fails.
    breaker: Option<OrNone<BreakerForm>>,
    /// How much may be used by all calls to the server.
    budget: Option<BudgetForm>,
    /// The program that starts the server: a word that is looked up in PATH,
    /// or a path, relative to the directory of tollgate.toml.
    command: Option<String>,
    /// The directory the server runs in, relative to that of tollgate.toml; without it
    /// the server runs where tollgate does, which is `/` under a daemon that an agent started.
    cwd: Option<String>,
    /// The environment of the server; beside it the server gets only PATH, HOME, USER,
    /// LOGNAME, SHELL, LANG, LC_ALL, LC_CTYPE, TMPDIR and TZ. A secret is
    /// a reference: "env:NAME" or "file:/path".
    env: Option<BTreeMap<String, String>>,
    /// The protocol the server speaks. "auto" (the default) asks it at the
    /// start; "legacy" is the era of initialize, "modern" 2026-07-28 and later.
    era: Option<EraForm>,
    /// Whether each run gets a process of its own ("per-run", the default) or
    /// one process serves all ("shared", for servers without state).
    instances: Option<InstancesForm>,
    /// The person or team who answers for this server.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,64}$"))]
    owner: String,
    /// What is put before the names of its tools. The default is the server's
    /// name and two underscores; "" for nothing.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{0,50}$"))]
    prefix: Option<String>,
    /// How often an agent may call the server.
    rate: Option<RateOrTableForm>,
    /// Whether the server may ask the model of an agent's client
    /// (sampling/createMessage). Default true: each time counts as a call.
    sampling: Option<bool>,
    /// How long the server may take to start and list its tools. Default "20s".
    start_timeout: Option<DurationForm>,
    /// How long a call may go without a sign of life; progress starts it anew.
    /// Default "30s".
    timeout: Option<DurationForm>,
    /// A title for people.
    title: Option<String>,
    /// The tools and their tiers, by the names the server gives them. The
    /// short form is a tier, the long form a table [tools.NAME].
    tools: Option<BTreeMap<String, ToolOrTierForm>>,
    /// How long a call may take in all, without the time in which somebody is asked. Default "10m".
    total_timeout: Option<DurationForm>,
    /// What becomes of tools that are not named below [tools]: "ask" (the
    /// default: they count as irreversible), "off", or a tier.
    unlisted: Option<TierForm>,
    /// A tool server over HTTP. Not served in this version yet: use `command`.
    url: Option<String>,
    /// When the server may be called.
    window: Option<WindowsForm>,
}

/// A duration: a whole number and a unit, such as "500ms", "30s", "10m", "2h".
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct DurationForm(#[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h|d)$"))] String);

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum EraForm {
    Auto,
    Legacy,
    Modern,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum InstancesForm {
    PerRun,
    Shared,
}

/// How much a tool can break.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum TierForm {
    Word(TierWord),
    /// The tier as a number, from 0 (read) to 3 (irreversible).
    Level(#[schemars(range(min = 0, max = 3))] u8),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum TierWord {
    /// Looks, changes nothing.
    Read,
    /// Changes something that can be put back.
    Reversible,
    /// Touches others or costs; putting it back takes work.
    Consequential,
    /// Cannot be put back.
    Irreversible,
    /// Nobody has classified it: it counts as irreversible.
    Ask,
    /// Not offered at all.
    Off,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum ToolOrTierForm {
    Tier(TierForm),
    Tool(Box<ToolForm>),
}

/// One tool.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ToolForm {
    /// Where the arguments say how much money a call moves: a JSONPath.
    amount: Option<AmountOrTableForm>,
    /// Rules for its arguments, laid over the server's own schema: both must hold.
    args: Option<BTreeMap<String, ArgForm>>,
    /// When the tool is left alone because it fails.
    breaker: Option<OrNone<BreakerForm>>,
    /// How much may be used by all calls of the tool.
    budget: Option<BudgetForm>,
    /// What a call costs you.
    cost: Option<CostOrTableForm>,
    /// Where the arguments hold the things that a call touches: a JSONPath.
    count: Option<PathForm>,
    /// Whether a call leaves only when its record is on disk and survives a
    /// power cut. From `consequential` on it always is so; below that this asks
    /// for it.
    durable: Option<bool>,
    /// How much a single call may cost, move and touch; the same as `action`
    /// in its budget.
    limit: Option<ActionForm>,
    /// How often an agent may call the tool.
    rate: Option<RateOrTableForm>,
    /// How much the tool can break: read, reversible, consequential,
    /// irreversible (or 0 to 3); "ask" when nobody knows; "off" to hide it.
    tier: TierForm,
    /// How long a call of this tool may go without a sign of life.
    timeout: Option<DurationForm>,
    /// When the tool may be called.
    window: Option<WindowsForm>,
}

/// What one argument must be: keywords of JSON Schema, and `under`, `host`, `absent`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ArgForm {
    /// The argument must not be given.
    absent: Option<bool>,
    /// Whether an object may have other members than `properties`, or their schema.
    additional_properties: Option<Value>,
    /// All of these schemas hold.
    all_of: Option<Vec<Value>>,
    /// At least one of these schemas holds.
    any_of: Option<Vec<Value>>,
    /// Exactly this value.
    r#const: Option<Value>,
    /// At least one item of the list fits this schema.
    contains: Option<Value>,
    /// One of these values.
    r#enum: Option<Vec<Value>>,
    /// Below this number.
    exclusive_maximum: Option<f64>,
    /// Above this number.
    exclusive_minimum: Option<f64>,
    /// A named format of a text: "email", "date-time", "uri", "uuid" and others.
    #[schemars(extend("enum" = FORMATS))]
    format: Option<String>,
    /// The hosts that a URL may name: "example.com", or "*.example.com" for
    /// any subdomain. Only http, https, ws and wss name a host.
    host: Option<Vec<String>>,
    /// The schema of every item of a list.
    items: Option<Value>,
    /// At most so many items.
    max_items: Option<u64>,
    /// At most so many characters.
    max_length: Option<u64>,
    /// At most so many members.
    max_properties: Option<u64>,
    /// At most this number.
    maximum: Option<f64>,
    /// At least so many items.
    min_items: Option<u64>,
    /// At least so many characters.
    min_length: Option<u64>,
    /// At least so many members.
    min_properties: Option<u64>,
    /// At least this number.
    minimum: Option<f64>,
    /// A multiple of this number.
    multiple_of: Option<f64>,
    /// This schema does not hold.
    not: Option<Value>,
    /// Exactly one of these schemas holds.
    one_of: Option<Vec<Value>>,
    /// A regular expression that occurs in the text.
    pattern: Option<String>,
    /// The schemas of an object's members.
    properties: Option<BTreeMap<String, Value>>,
    /// The members that an object must have.
    required: Option<Vec<String>>,
    /// The type: string, number, integer, boolean, array, object or null; or a list.
    r#type: Option<Value>,
    /// The directory that a path must lie in, after links are followed.
    under: Option<String>,
    /// Whether all items of a list differ.
    unique_items: Option<bool>,
}
