//! The deployment that all tests of this process share: `sam deploy` of the output of
//! `sam build` into ministack.

use std::{collections::BTreeMap, fs, net::TcpStream, process::Child, sync::LazyLock};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use scrip::ledger::ClockAndRandom;
use scrip_tests::{STRIPE_SECRET, WEBHOOK_SECRET, signature};
use serde_json::{Value, json};
use ureq::Agent;

pub use crate::process::wait_until;
use crate::{
    aws_fakes::AwsFakes,
    http::{self, Response, agent},
    process::{ROOT, TIMEOUT, command, free_port, supervised, tool},
};

pub const STACK: &str = "scrip-test";
/// The stack with the user's own resources.
const USERS_STACK: &str = "users";

/// ministack does not check the signature.
const AUTHORIZATION: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/any/aws4_request, SignedHeaders=host, Signature=0";

static CLOUD: LazyLock<Cloud> = LazyLock::new(Cloud::deploy);

/// The deployed stack.
pub struct Cloud {
    /// Endpoint of AWS.
    pub endpoint: String,
    pub fakes: AwsFakes,
    agent: Agent,
    outputs: BTreeMap<String, String>,
    /// ministack ends when this is dropped.
    _ministack: Child,
}

/// Type and message of an error.
pub type ServiceError = (String, String);

impl Cloud {
    /// The deployment of this process. The first call starts it.
    pub fn deployed() -> &'static Cloud {
        &CLOUD
    }

    fn deploy() -> Cloud {
        let endpoint = format!("http://127.0.0.1:{}", free_port());
        let fakes = AwsFakes::start(&endpoint);
        let ministack = start_ministack(&endpoint, &fakes);
        let mut cloud =
            Cloud { endpoint, fakes, agent: agent(TIMEOUT), outputs: BTreeMap::new(), _ministack: ministack };
        cloud.deploy_users_step();
        cloud.sam_deploy();
        cloud.outputs.extend(cloud.outputs_of(STACK));
        cloud.put_secret("WebhookSecretArn", WEBHOOK_SECRET);
        cloud.put_secret("StripeSecretArn", STRIPE_SECRET);
        cloud
    }

    /// Deploys the resources that a user has before Scrip.
    fn deploy_users_step(&mut self) {
        let template = include_str!("users.yaml");
        let step = format!("{}/step", self.fakes.url);
        let form = [
            ("Action", "CreateStack"),
            ("StackName", USERS_STACK),
            ("Capabilities.member.1", "CAPABILITY_IAM"),
            ("Parameters.member.1.ParameterKey", "Test"),
            ("Parameters.member.1.ParameterValue", &step),
            ("TemplateBody", template),
        ];
        self.form(&form);
        wait_until("the user's stack is created", || {
            let stack = self.form(&[("Action", "DescribeStacks"), ("StackName", USERS_STACK)]);
            assert!(!stack.contains("ROLLBACK") && !stack.contains("FAILED"), "{stack}");
            stack.contains("CREATE_COMPLETE")
        });
        self.outputs = self.outputs_of(USERS_STACK);
    }

    fn sam_deploy(&self) {
        let file = tool("aws").join("adapted.json");
        fs::write(&file, adapted_template()).expect("a file");
        let step = &self.outputs["StepArn"];
        let parameters = [
            ("Release", "1"),
            ("TokenIssuer", self.fakes.issuer()),
            ("TokenAudience", "credits"),
            ("GenerateFunction", step),
            ("StartVideoFunction", step),
            ("ReplyFunction", step),
        ];
        let mut sam = command(tool("sam/bin/sam"));
        sam.env("AWS_ENDPOINT_URL", &self.endpoint).env("SAM_CLI_TELEMETRY", "0");
        sam.args(["deploy", "--stack-name", STACK, "--resolve-s3", "--capabilities", "CAPABILITY_IAM"]);
        sam.args(["--no-confirm-changeset", "--no-progressbar", "--template-file"]).arg(&file);
        sam.arg("--parameter-overrides").args(parameters.map(|(name, value)| format!("{name}={value}")));
        let output = sam.output().expect("sam starts");
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "sam deploy failed: {}", String::from_utf8_lossy(&text));
    }

    /// Sets the secret of an output. The one that ministack generates contains punctuation, which
    /// the template excludes.
    fn put_secret(&self, output: &str, secret: &str) {
        let secret = json!({ "SecretId": self.output(output), "SecretString": secret });
        self.call("secretsmanager.PutSecretValue", &secret).expect("a secret");
    }

    /// An output of one of the stacks.
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).unwrap_or_else(|| panic!("no output {name} among {:?}", self.outputs))
    }

    /// Calls a service with a JSON protocol by its target, such as
    /// `AWSStepFunctions.StartExecution`.
    pub fn call(&self, target: &str, request: &Value) -> Result<Value, ServiceError> {
        let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.0")];
        let response = self.send("POST", "/", &headers, &request.to_string());
        if response.status == 200 {
            return Ok(response.body);
        }
        let kind = response.text("__type");
        let kind = kind.rsplit('#').next().expect("one part").to_owned();
        Err((kind, response.text("message") + &response.text("Message")))
    }

    /// Invokes a function of the stack directly, by its alias.
    pub fn invoke(&self, function: &str, payload: &Value) -> Result<Value, ServiceError> {
        let response = self.invocation(function, "RequestResponse", payload);
        assert_eq!(response.status, 200, "{function}: {response:?}");
        if response.headers.contains_key("x-amz-function-error") {
            return Err((response.text("errorType"), response.text("errorMessage")));
        }
        Ok(response.body)
    }

    /// Invokes a function of the stack asynchronously.
    pub fn invoke_async(&self, function: &str, payload: &Value) {
        assert_eq!(self.invocation(function, "Event", payload).status, 202);
    }

    fn invocation(&self, function: &str, kind: &str, payload: &Value) -> Response {
        let (first, rest) = function.split_at(1);
        let arn = self.output(&format!("{}{rest}Arn", first.to_uppercase()));
        let path = format!("/2015-03-31/functions/{arn}/invocations");
        self.send("POST", &path, &[("x-amz-invocation-type", kind)], &payload.to_string())
    }

    /// Sends a request to the HTTP API, with a token if there are claims.
    pub fn http(&self, method: &str, path: &str, body: &Value, claims: Option<&Value>) -> Response {
        let token = claims.map(|claims| format!("Bearer {}", self.fakes.token(claims)));
        let header = token.as_deref().map(|token| ("authorization", token));
        self.http_with(method, path, &body.to_string(), header.as_slice())
    }

    /// Sends a request to the HTTP API, with these headers.
    pub fn http_with(&self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Response {
        let url = self.api_url() + path;
        let body = if method == "GET" { "" } else { body };
        http::send(&self.agent, method, &url, headers, body)
    }

    /// URL of the HTTP API.
    pub fn api_url(&self) -> String {
        let url = self.output("ApiUrl");
        let api = url.trim_start_matches("http://").split('.').next().expect("one part");
        format!("{}/_aws/execute-api/{api}/$default", self.endpoint)
    }

    /// A client of DynamoDB with the role of this function.
    pub fn dynamodb_as(&self, function: &str) -> Client {
        let path = format!("/2015-03-31/functions/{STACK}-{function}/configuration");
        let role = self.send("GET", &path, &[], "").text("Role");
        let assumed = self.form(&[("Action", "AssumeRole"), ("RoleArn", &role), ("RoleSessionName", "test")]);
        let [key, secret, token] =
            ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|tag| element(&assumed, tag));
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(key, secret, Some(token), None, "role"))
            .endpoint_url(&self.endpoint);
        Client::from_conf(config.build())
    }

    /// Sends a call-back that is signed with this secret.
    pub fn call_back(&self, body: &Value, secret: &str) -> Response {
        self.send_signed("/webhooks/generation", "x-signature", body, secret)
    }

    /// Sends an event of Stripe that is signed with this secret.
    pub fn stripe_event(&self, body: &Value, secret: &str) -> Response {
        self.send_signed("/webhooks/stripe", "stripe-signature", body, secret)
    }

    fn send_signed(&self, path: &str, header: &str, body: &Value, secret: &str) -> Response {
        let (body, now) = (body.to_string(), (ClockAndRandom::system().now)());
        let signed = signature(secret, now, body.as_bytes());
        self.http_with("POST", path, &body, &[(header, &signed)])
    }

    /// Grants a user a pack that never expires.
    pub fn grant(&self, user: &str, credits: u64) {
        let pack = json!({ "user_uuid": user, "trans_type": "system_add", "credits": credits });
        self.invoke("grant", &pack).expect("a grant");
    }

    pub fn balance(&self, user: &str) -> u64 {
        let balance = self.invoke("balance", &json!({ "user_uuid": user })).expect("a balance");
        balance["balance"].as_u64().expect("credits")
    }

    /// A user's records, newest first, voided ones too.
    pub fn records(&self, user: &str) -> Vec<Value> {
        let request =
            json!({ "operation": "timeline", "user_uuid": user, "limit": 100, "include_voided": true });
        let mut page = self.invoke("history", &request).expect("a page");
        assert!(page["cursor"].is_null(), "more than a page");
        page["records"].as_array_mut().expect("records").drain(..).collect()
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = [&[("authorization", AUTHORIZATION)], headers].concat();
        http::send(&self.agent, method, &format!("{}{path}", self.endpoint), &headers, body)
    }

    /// Calls a service with a query protocol. Returns its XML.
    fn form(&self, form: &[(&str, &str)]) -> String {
        let request = self.agent.post(&self.endpoint).header("authorization", AUTHORIZATION);
        let response = request.send_form(form.iter().copied()).expect("a response");
        response.into_body().read_to_string().expect("text")
    }

    fn outputs_of(&self, stack: &str) -> BTreeMap<String, String> {
        let description = self.form(&[("Action", "DescribeStacks"), ("StackName", stack)]);
        let outputs = description.split("<Outputs>").nth(1).expect("outputs").split("<member>").skip(1);
        outputs.map(|output| (element(output, "OutputKey"), element(output, "OutputValue"))).collect()
    }
}

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split('<').next().expect("one part").to_owned()
}

/// The template that `sam build` wrote.
pub fn built_template() -> Value {
    let text = fs::read_to_string(tool("aws/template.yaml")).expect("the output of sam build");
    yaml_serde::from_str(&text).expect("YAML without tags")
}

/// The built template without the features that ministack lacks.
fn adapted_template() -> Vec<u8> {
    let mut adapt = command(tool("sam/bin/python"));
    adapt.current_dir(ROOT).arg("tests/deployment/adapt.py").arg(tool("aws/template.yaml")).arg("1");
    let output = adapt.output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Starts ministack at this endpoint. Its functions reach DynamoDB through the proxy.
fn start_ministack(endpoint: &str, fakes: &AwsFakes) -> Child {
    let (address, port) =
        (endpoint.trim_start_matches("http://"), endpoint.rsplit(':').next().expect("a port"));
    let mut ministack = supervised(tool("venv/bin/python"), "aws");
    ministack.args(["-m", "ministack"]).envs([
        ("BIND_HOST", "127.0.0.1"),
        ("GATEWAY_PORT", port),
        ("IOT_MTLS_ENABLED", "0"),
        ("SFTP_ENABLED", "0"),
        // ministack enforces IAM policies.
        ("AUTH", "true"),
        // Retry waits for hours in all.
        ("SFN_WAIT_SCALE", "0.005"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ENDPOINT_URL_DYNAMODB", &fakes.url),
    ]);
    let ministack = ministack.spawn().expect("a shell");
    wait_until("ministack listens; its log is target/ci/aws.log", || TcpStream::connect(address).is_ok());
    ministack
}
