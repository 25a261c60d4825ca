//! The keys of limits as their authors see them; see `form`.

use schemars::JsonSchema;

use super::form::DurationForm;

// A setting, or "none". Not a doc comment: it would take the place of the key's own.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum OrNone<T> {
    This(T),
    None(NoneForm),
}

/// "none": without this limit.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum NoneForm {
    None,
}

/// How much may be used over which time.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct BudgetForm {
    /// For each single call.
    action: Option<OrNone<ActionForm>>,
    /// For each day of the calendar, in the configured time zone.
    day: Option<OrNone<DayForm>>,
    /// For sixty minutes up to now.
    hour: Option<OrNone<HourForm>>,
    /// For each month of the calendar, in the configured time zone.
    month: Option<OrNone<DayForm>>,
    /// For each run of an agent.
    run: Option<OrNone<RunForm>>,
}

/// How much one call may cost, move and touch.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ActionForm {
    /// What calls move, found by the tool's `amount`.
    amount: Option<MoneyLimitForm>,
    /// What calls cost, by the tool's `cost`.
    cost: Option<MoneyLimitForm>,
    /// How many things calls touch, found by the tool's `count`.
    count: Option<NumberLimitForm>,
    /// From which part of each limit on people are notified: 0.75.
    notify: Option<FractionForm>,
    /// What happens at a limit. Default "refuse".
    then: Option<ThenForm>,
    /// From which part of each limit on the operator hears of it: 0.75.
    warn: Option<FractionForm>,
}

/// How much one run may use.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct RunForm {
    /// What calls move, found by the tool's `amount`.
    amount: Option<MoneyLimitForm>,
    /// Size of what tools answer.
    bytes: Option<SizeLimitForm>,
    /// Calls that are let through.
    calls: Option<NumberLimitForm>,
    /// What calls cost, by the tool's `cost`.
    cost: Option<MoneyLimitForm>,
    /// How many things calls touch, found by the tool's `count`.
    count: Option<NumberLimitForm>,
    /// How long the run may last.
    elapsed: Option<TimeLimitForm>,
    /// From which part of each limit on people are notified: 0.75.
    notify: Option<FractionForm>,
    /// Turns of the agent.
    steps: Option<NumberLimitForm>,
    /// What happens at a limit. Default "ask": a person can grant another helping.
    then: Option<ThenForm>,
    /// How long tools may work, added up.
    time: Option<TimeLimitForm>,
    /// Tokens of the model, as the agent reports them.
    tokens: Option<NumberLimitForm>,
    /// From which part of each limit on the operator hears of it: 0.75.
    warn: Option<FractionForm>,
}

/// How much may be used within sixty minutes.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct HourForm {
    /// What calls move, found by the tool's `amount`.
    amount: Option<MoneyLimitForm>,
    /// Size of what tools answer.
    bytes: Option<SizeLimitForm>,
    /// Calls that are let through.
    calls: Option<NumberLimitForm>,
    /// What calls cost, by the tool's `cost`.
    cost: Option<MoneyLimitForm>,
    /// How many things calls touch, found by the tool's `count`.
    count: Option<NumberLimitForm>,
    /// From which part of each limit on people are notified: 0.75.
    notify: Option<FractionForm>,
    /// Turns of the agent.
    steps: Option<NumberLimitForm>,
    /// What happens at a limit. Default "refuse".
    then: Option<ThenForm>,
    /// How long tools may work, added up.
    time: Option<TimeLimitForm>,
    /// Tokens of the model, as the agent reports them.
    tokens: Option<NumberLimitForm>,
    /// From which part of each limit on the operator hears of it: 0.75.
    warn: Option<FractionForm>,
}

/// How much may be used within a day or a month.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct DayForm {
    /// What calls move, found by the tool's `amount`.
    amount: Option<MoneyLimitForm>,
    /// Size of what tools answer.
    bytes: Option<SizeLimitForm>,
    /// Calls that are let through.
    calls: Option<NumberLimitForm>,
    /// What calls cost, by the tool's `cost`.
    cost: Option<MoneyLimitForm>,
    /// How many things calls touch, found by the tool's `count`.
    count: Option<NumberLimitForm>,
    /// From which part of each limit on people are notified: 0.75.
    notify: Option<FractionForm>,
    /// The last 24 hours or 30 days instead of the calendar's day or month.
    rolling: Option<bool>,
    /// Turns of the agent.
    steps: Option<NumberLimitForm>,
    /// What happens at a limit. Default "refuse".
    then: Option<ThenForm>,
    /// How long tools may work, added up.
    time: Option<TimeLimitForm>,
    /// Tokens of the model, as the agent reports them.
    tokens: Option<NumberLimitForm>,
    /// From which part of each limit on the operator hears of it: 0.75.
    warn: Option<FractionForm>,
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum NumberLimitForm {
    At(#[schemars(range(min = 1))] u64),
    Table(LimitForm),
    None(NoneForm),
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum MoneyLimitForm {
    At(MoneyForm),
    Table(LimitForm),
    None(NoneForm),
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum TimeLimitForm {
    At(DurationForm),
    Table(LimitForm),
    None(NoneForm),
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum SizeLimitForm {
    Bytes(#[schemars(range(min = 1))] u64),
    At(#[schemars(regex(pattern = r"^[0-9]+(KiB|MiB|GiB)$"))] String),
    Table(LimitForm),
    None(NoneForm),
}

/// An amount of money in the configured currency: "0.30 USD".
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct MoneyForm(#[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)? [A-Z]{3}$"))] String);

/// A part of the limit, above 0 and at most 1.0.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct FractionForm(#[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))] f64);

/// A limit with thresholds of its own.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct LimitForm {
    /// The limit itself.
    at: QuantityForm,
    /// From how much on people are notified: a fraction such as 0.75, or as
    /// much as is written.
    notify: Option<QuantityForm>,
    /// What happens at the limit.
    then: Option<ThenForm>,
    /// From how much on the operator hears of it: a fraction such as 0.75, or
    /// as much as is written.
    warn: Option<QuantityForm>,
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum QuantityForm {
    Number(#[schemars(extend("exclusiveMinimum" = 0))] f64),
    /// Money, a duration or a size.
    Text(String),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum ThenForm {
    /// The call is refused.
    Refuse,
    /// A person is asked for another helping; while nobody can be, the call is refused.
    Ask,
    /// The run ends.
    Kill,
}

/// When a server or a tool that fails is left alone.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct BreakerForm {
    /// After this time one call may try. Default "60s".
    cooldown: Option<DurationForm>,
    /// Whether a tool that says it failed counts as well. Default false: only
    /// failures of the connection and waits that were too long do.
    errors: Option<bool>,
    /// So many failures open it: at most 64. Default 3.
    #[schemars(range(min = 1, max = 64))]
    failures: Option<u32>,
    /// Within this time. Default "60s".
    within: Option<DurationForm>,
}

/// From which repetition on a call is refused, and the run ended.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct LoopsForm {
    /// The same for tools of this tier, laid over what is said for all.
    consequential: Option<OrNone<TierLoopsForm>>,
    /// Calls that failed or were refused, with none in between that succeeded.
    errors: Option<OrNone<ErrorsForm>>,
    /// The same for tools of this tier, laid over what is said for all.
    irreversible: Option<OrNone<TierLoopsForm>>,
    /// Two calls in turn: so many pairs.
    pairs: Option<OrNone<ThresholdForm>>,
    /// The same for tools of this tier, laid over what is said for all.
    read: Option<OrNone<TierLoopsForm>>,
    /// The same call within a time, whatever else happens in between.
    repeated: Option<OrNone<RepeatedForm>>,
    /// The same for tools of this tier, laid over what is said for all.
    reversible: Option<OrNone<TierLoopsForm>>,
    /// The same call in a row.
    same: Option<OrNone<ThresholdForm>>,
}

/// The same for the tools of one tier.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct TierLoopsForm {
    /// Calls that failed or were refused, with none in between that succeeded.
    errors: Option<OrNone<ErrorsForm>>,
    /// Two calls in turn: so many pairs.
    pairs: Option<OrNone<ThresholdForm>>,
    /// The same call within a time, whatever else happens in between.
    repeated: Option<OrNone<RepeatedForm>>,
    /// The same call in a row.
    same: Option<OrNone<ThresholdForm>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ThresholdForm {
    /// The one of this number ends the run.
    kill: Option<OrNone<RepetitionForm>>,
    /// The one of this number is refused, and those after it.
    refuse: Option<OrNone<RepetitionForm>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct RepeatedForm {
    /// The one of this number ends the run. At most 96.
    kill: Option<OrNone<RepetitionForm>>,
    /// The one of this number is refused, and those after it. At most 96.
    refuse: Option<OrNone<RepetitionForm>>,
    /// Within which time. Default "10m".
    window: Option<DurationForm>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ErrorsForm {
    /// So many end the run.
    kill: Option<OrNone<RepetitionForm>>,
    /// How long the agent has to pause after so many. Default "60s".
    pause: Option<DurationForm>,
    /// After so many the agent has to pause.
    refuse: Option<OrNone<RepetitionForm>>,
}

#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct RepetitionForm(#[schemars(range(min = 1))] u32);

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum RateOrTableForm {
    Rate(PerForm),
    Table(RateForm),
}

/// So many in a time: "10/s", "120/min", "30/h", "500/d".
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct PerForm(#[schemars(regex(pattern = r"^[0-9]+/(s|min|h|d)$"))] String);

/// A rate with a burst of its own.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct RateForm {
    /// So many at once. Default: as many as the whole time allows.
    #[schemars(range(min = 1))]
    burst: Option<u32>,
    /// So many in a time.
    per: PerForm,
}

/// When it may be called: one window, or several of which any may be open.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum WindowsForm {
    One(WindowForm),
    Any(#[schemars(length(min = 1, max = 32))] Vec<WindowForm>),
}

/// Days, hours and a time zone: "Mon-Fri 08:00-18:00 Europe/Paris". Without the
/// zone the configured one counts; `daily` is every day.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct WindowForm(
    #[schemars(regex(
        pattern = r"^\s*(daily|[A-Z][a-z]{2}([,-][A-Z][a-z]{2})*)\s+[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}(\s+\S+)?\s*$"
    ))]
    String,
);

/// What is said of a tier.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct TierRulesForm {
    /// How often an agent may call a tool of this tier.
    rate: Option<RateOrTableForm>,
}

/// What is said of each tier.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct TiersForm {
    /// Tier 2: touches others or costs.
    consequential: Option<TierRulesForm>,
    /// Tier 3: cannot be put back.
    irreversible: Option<TierRulesForm>,
    /// Tier 0: looks, changes nothing.
    read: Option<TierRulesForm>,
    /// Tier 1: changes something that can be put back.
    reversible: Option<TierRulesForm>,
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum CostOrTableForm {
    Call(MoneyForm),
    Table(CostForm),
}

/// What a call costs, in parts that are added up.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct CostForm {
    /// Where the result says what it did cost: a JSONPath such as "$._meta.cost".
    actual: Option<CostPathOrTableForm>,
    /// For each call.
    call: Option<MoneyForm>,
    /// For each thing that the call touches; needs `count`.
    each: Option<MoneyForm>,
    /// Where the arguments say what it will cost: a JSONPath.
    estimate: Option<CostPathOrTableForm>,
    /// Kept back beside it until the answer says the rest: what `actual` or `kib` come to
    /// at the most.
    keep: Option<MoneyForm>,
    /// For each KiB that it answers.
    kib: Option<MoneyForm>,
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum CostPathOrTableForm {
    Path(PathForm),
    Table(CostPathForm),
}

/// A JSONPath (RFC 9535): "$.amount", "$.ids[*]".
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct PathForm(#[schemars(regex(pattern = r"^\$"))] String);

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct CostPathForm {
    /// The number is in minor units: cents.
    minor: Option<bool>,
    /// Where it stands.
    path: PathForm,
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum AmountOrTableForm {
    Path(PathForm),
    Table(AmountForm),
}

/// Where the arguments say what a call moves.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct AmountForm {
    /// In which currency; the configured one.
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    currency: Option<String>,
    /// The number is in minor units: cents.
    minor: Option<bool>,
    /// Where it stands.
    path: PathForm,
}
