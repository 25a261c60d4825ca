//! `tollgate demo-server`: a tool server over stdio with a mailbox, files, payments
//! and two services that only pretend.
//!
//! Its state is in memory and begins the same every time; nothing reaches the
//! disk or the network. It keeps a list of the calls that reached it, which
//! `tollgate demo` reads to tell what was really stopped.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, Implementation, ListPromptsResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam,
    Prompt, PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    Resource, ResourceContents, Role, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer, ServerInitializeError};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;
use rmcp::{ServerHandler, ServiceExt};
use serde_json::json;

use super::offer::{self, Answer, Offer, Wait, World, internal};
use crate::daemon::{self, Failure};

/// The inbox as a page.
const INBOX: &str = "demo://inbox";
/// The tools that were called, one a line.
pub(super) const CALLS: &str = "demo://calls";
const TRIAGE: &str = "triage-inbox";

/// Serves stdin and stdout until the client leaves.
///
/// # Errors
/// When what comes in is no MCP client.
pub fn serve() -> Result<(), Failure> {
    let runtime = daemon::runtime()?;
    let served = runtime.block_on(talk());
    // A read of standard input that is not a pipe may still block a thread.
    runtime.shutdown_background();
    served
}

async fn talk() -> Result<(), Failure> {
    let offers = offer::all().map_err(|cause| Failure::fault(cause.message))?;
    let (read, write) = stdio_pipes();
    let transport = AsyncRwTransport::new_server(read, write);
    let running = match DemoServer::new(offers).serve(transport).await {
        Ok(running) => running,
        // A client that only looked whether we start.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(cause) => {
            return Err(Failure::fault(format!("no MCP client on stdin: {cause}"))
                .hint("`tollgate demo-server` is started by a client, or by tollgate itself"));
        }
    };
    let ended = running.waiting().await;
    ended.map_or_else(|cause| Err(Failure::fault(cause.to_string())), |_| Ok(()))
}

#[derive(Debug)]
struct DemoServer {
    offers: Vec<Offer>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    world: World,
    calls: Vec<String>,
}

impl DemoServer {
    fn new(offers: Vec<Offer>) -> Self {
        Self {
            offers,
            state: Mutex::new(State {
                world: World::seeded(),
                calls: Vec::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A deed that panicked leaves a pretended world, not a broken invariant.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a call; nothing if there is no such tool.
    fn answer(&self, params: CallToolRequestParams) -> Option<Answer> {
        let offer = self
            .offers
            .iter()
            .find(|offer| offer.tool.name == params.name)?;
        let mut state = self.state();
        if state.calls.len() < CALLS_KEPT {
            state.calls.push(params.name.into_owned());
        }
        let arguments = params.arguments.unwrap_or_default();
        Some(offer.call(&mut state.world, arguments))
    }
}

/// A bound for clients in a loop; the demo stays far below it.
const CALLS_KEPT: usize = 10_000;

impl ServerHandler for DemoServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new("tollgate-demo", env!("CARGO_PKG_VERSION"))
                    .with_title("A shop's support desk that only pretends"),
            )
            .with_instructions(
                "The support desk of a shop: mail of customers, files, payments, companies and \
                 parcels. All of it pretends; nothing leaves this process.",
            )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.offers.iter().map(|offer| offer.tool.clone());
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let unknown = format!("unknown tool `{}`", params.name);
        let answer = self
            .answer(params)
            .ok_or_else(|| ErrorData::invalid_params(unknown, None))?;
        let result = match answer {
            Answer::Text(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
            Answer::Structured(value) => CallToolResult::structured(value),
            Answer::Wrong(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
            Answer::After(wait) => sit_out(&wait, &context).await?,
        };
        Ok(result.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![
            Resource::new(INBOX, "inbox")
                .with_title("Inbox")
                .with_description("The mails of the inbox, newest first")
                .with_mime_type("text/plain"),
            Resource::new(CALLS, "calls")
                .with_title("Calls")
                .with_description("The tool calls that reached this server, oldest first")
                .with_mime_type("text/plain"),
        ]))
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let text = match params.uri.as_str() {
            INBOX => self.state().world.mailbox.inbox(),
            CALLS => self.state().calls.join("\n"),
            unknown => {
                return Err(ErrorData::resource_not_found(
                    format!("no resource `{unknown}`"),
                    Some(json!({ "uri": unknown })),
                ));
            }
        };
        let contents = ResourceContents::text(text, params.uri).with_mime_type("text/plain");
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![
            Prompt::new(
                TRIAGE,
                Some("Sort the inbox and draft what is to be answered"),
                None,
            )
            .with_title("Triage the inbox"),
        ]))
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if params.name != TRIAGE {
            let unknown = format!("unknown prompt `{}`", params.name);
            return Err(ErrorData::invalid_params(unknown, None));
        }
        let text = format!(
            "Read each mail of this inbox. Sort them into: answer today, can wait, nothing to \
             do. Draft the answers that are due today; do not send them.\n\n{}",
            self.state().world.mailbox.inbox()
        );
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into())
    }
}

/// Waits, and says every second how far it is.
async fn sit_out(
    wait: &Wait,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let total = Duration::try_from_secs_f64(wait.seconds).map_err(internal)?;
    let mut waited = Duration::ZERO;
    report(waited, total, context).await?;
    while waited < total {
        let next = (total - waited).min(Duration::from_secs(1));
        tokio::select! {
            () = tokio::time::sleep(next) => waited += next,
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("cancelled", None));
            }
        }
        report(waited, total, context).await?;
    }
    let text = format!("Waited {} s.", wait.seconds);
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
}

async fn report(
    waited: Duration,
    total: Duration,
    context: &RequestContext<RoleServer>,
) -> Result<(), ErrorData> {
    let Some(token) = context.meta.get_progress_token() else {
        return Ok(());
    };
    let progress = ProgressNotificationParam::new(token, waited.as_secs_f64())
        .with_total(total.as_secs_f64())
        .with_message(format!(
            "{:.1} of {:.1} s",
            waited.as_secs_f64(),
            total.as_secs_f64()
        ));
    context
        .peer
        .notify_progress(progress)
        .await
        .map_err(internal)
}
