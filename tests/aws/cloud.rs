//! AWS, with Scrip in it: one ministack for all tests of this process, and in it
//! what `sam deploy` makes of what `sam build` made.

use std::{collections::BTreeMap, fs, net::TcpStream, process::Child, sync::LazyLock};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use scrip::ledger::ClockAndRandom;
use scrip_tests::{WEBHOOK_SECRET, signature};
use serde_json::{Value, json};
use ureq::Agent;

pub use crate::process::wait_until;
use crate::{
    http::{self, Answer, agent},
    outside::Outside,
    process::{PATIENCE, command, free_port, kept, tool},
};

const STACK: &str = "scrip-test";
/// The stack of what is the user's own.
const USERS_STACK: &str = "users";

/// Nobody checks the signature.
const AUTHORIZATION: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/any/aws4_request, SignedHeaders=host, Signature=0";

static CLOUD: LazyLock<Cloud> = LazyLock::new(Cloud::deploy);

/// Scrip, deployed.
pub struct Cloud {
    /// Where AWS is.
    pub endpoint: String,
    /// What the functions meet outside.
    pub outside: Outside,
    agent: Agent,
    outputs: BTreeMap<String, String>,
    /// What must not be let go of.
    _ministack: Child,
}

/// An error: its type, and what it says.
pub type Refused = (String, String);

impl Cloud {
    /// The one of this process, which the first test to ask for it starts.
    pub fn deployed() -> &'static Cloud {
        &CLOUD
    }

    fn deploy() -> Cloud {
        let endpoint = format!("http://127.0.0.1:{}", free_port());
        let outside = Outside::start(&endpoint);
        let ministack = start_ministack(&endpoint, &outside);
        let mut cloud = Cloud {
            endpoint,
            outside,
            agent: agent(PATIENCE),
            outputs: BTreeMap::new(),
            _ministack: ministack,
        };
        cloud.deploy_users_step();
        cloud.sam_deploy();
        cloud.outputs.extend(cloud.outputs_of(STACK));
        cloud.put_webhook_secret();
        cloud
    }

    /// What the user has already when Scrip comes.
    fn deploy_users_step(&mut self) {
        let template = include_str!("users.yaml");
        let step = format!("{}/step", self.outside.url);
        let form = [
            ("Action", "CreateStack"),
            ("StackName", USERS_STACK),
            ("Capabilities.member.1", "CAPABILITY_IAM"),
            ("Parameters.member.1.ParameterKey", "Test"),
            ("Parameters.member.1.ParameterValue", &step),
            ("TemplateBody", template),
        ];
        self.form(&form);
        wait_until("the user's stack is made", || {
            let stack = self.form(&[("Action", "DescribeStacks"), ("StackName", USERS_STACK)]);
            assert!(!stack.contains("ROLLBACK") && !stack.contains("FAILED"), "{stack}");
            stack.contains("CREATE_COMPLETE")
        });
        self.outputs = self.outputs_of(USERS_STACK);
    }

    fn sam_deploy(&self) {
        let file = tool("aws").join("adapted.json");
        fs::write(&file, adapted().to_string()).expect("a file");
        let step = &self.outputs["StepArn"];
        let parameters = [
            ("TokenIssuer", self.outside.issuer()),
            ("TokenAudience", "credits"),
            ("Architecture", "x86_64"),
            ("GenerateFunction", step),
            ("StartVideoFunction", step),
            ("ReplyFunction", step),
        ];
        let mut sam = command(tool("sam/bin/sam"));
        sam.env("AWS_ENDPOINT_URL", &self.endpoint).env("SAM_CLI_TELEMETRY", "0");
        sam.args(["deploy", "--stack-name", STACK, "--resolve-s3", "--capabilities", "CAPABILITY_IAM"]);
        sam.args(["--no-confirm-changeset", "--no-progressbar", "--template-file"]).arg(&file);
        sam.arg("--parameter-overrides").args(parameters.map(|(name, value)| format!("{name}={value}")));
        let ended = sam.output().expect("sam starts");
        let said = [ended.stdout, ended.stderr].concat();
        assert!(ended.status.success(), "sam deploy failed: {}", String::from_utf8_lossy(&said));
    }

    /// What the provider signs with, put in by hand as its owner would. The one that
    /// ministack makes has punctuation in it, though the template excludes that.
    fn put_webhook_secret(&self) {
        let secret = json!({ "SecretId": self.output("WebhookSecretArn"), "SecretString": WEBHOOK_SECRET });
        self.call("secretsmanager.PutSecretValue", &secret).expect("a secret");
    }

    /// An output of one of the stacks.
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).unwrap_or_else(|| panic!("no output {name} among {:?}", self.outputs))
    }

    /// Calls a service that speaks JSON, by its target: `AWSStepFunctions.StartExecution`.
    pub fn call(&self, target: &str, request: &Value) -> Result<Value, Refused> {
        let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.0")];
        let answer = self.send("POST", "/", &headers, &request.to_string());
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let kind = answer.text("__type");
        let kind = kind.rsplit('#').next().expect("one part").to_owned();
        Err((kind, answer.text("message") + &answer.text("Message")))
    }

    /// Invokes a function of the stack directly, by its alias: its answer, or its error.
    pub fn invoke(&self, function: &str, payload: &Value) -> Result<Value, Refused> {
        let answer = self.invocation(function, "RequestResponse", payload);
        assert_eq!(answer.status, 200, "{function}: {answer:?}");
        if answer.headers.contains_key("x-amz-function-error") {
            return Err((answer.text("errorType"), answer.text("errorMessage")));
        }
        Ok(answer.body)
    }

    /// Invokes a function of the stack asynchronously.
    pub fn invoke_later(&self, function: &str, payload: &Value) {
        assert_eq!(self.invocation(function, "Event", payload).status, 202);
    }

    fn invocation(&self, function: &str, kind: &str, payload: &Value) -> Answer {
        let (first, rest) = function.split_at(1);
        let arn = self.output(&format!("{}{rest}Arn", first.to_uppercase()));
        let path = format!("/2015-03-31/functions/{arn}/invocations");
        self.send("POST", &path, &[("x-amz-invocation-type", kind)], &payload.to_string())
    }

    /// Sends a request to the HTTP API, with a token of these claims where there are any.
    pub fn http(&self, method: &str, path: &str, body: &Value, claims: Option<&Value>) -> Answer {
        let token = claims.map(|claims| format!("Bearer {}", self.outside.token(claims)));
        let header = token.as_deref().map(|token| ("authorization", token));
        self.http_with(method, path, &body.to_string(), header.as_slice())
    }

    /// Sends a request to the HTTP API, with these headers.
    pub fn http_with(&self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let url = self.output("ApiUrl");
        let api = url.trim_start_matches("http://").split('.').next().expect("one part");
        let url = format!("{}/_aws/execute-api/{api}/$default{path}", self.endpoint);
        let body = if method == "GET" { "" } else { body };
        http::send(&self.agent, method, &url, headers, body)
    }

    /// DynamoDB for whoever has the role of this function.
    pub fn dynamodb_as(&self, function: &str) -> Client {
        let path = format!("/2015-03-31/functions/{STACK}-{function}/configuration");
        let role = self.send("GET", &path, &[], "").text("Role");
        let told = self.form(&[("Action", "AssumeRole"), ("RoleArn", &role), ("RoleSessionName", "test")]);
        let part = |tag: &str| element(&told, tag);
        let (key, secret, token) = (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken"));
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(key, secret, Some(token), None, "role"))
            .endpoint_url(&self.endpoint);
        Client::from_conf(config.build())
    }

    /// Calls the webhook as a provider does that signs with this secret.
    pub fn call_back(&self, body: &Value, secret: &str) -> Answer {
        let (body, now) = (body.to_string(), (ClockAndRandom::system().now)());
        let signed = signature(secret, now, body.as_bytes());
        self.http_with("POST", "/webhooks/generation", &body, &[("x-signature", &signed)])
    }

    /// Grants a user a pack that never expires.
    pub fn grant(&self, user: &str, credits: u64) {
        let pack = json!({ "user_uuid": user, "trans_type": "system_add", "credits": credits });
        self.invoke("grant", &pack).expect("a grant");
    }

    /// What a user has left.
    pub fn balance(&self, user: &str) -> u64 {
        let balance = self.invoke("balance", &json!({ "user_uuid": user })).expect("a balance");
        balance["balance"].as_u64().expect("credits")
    }

    /// A user's records, newest first, voided ones too.
    pub fn records(&self, user: &str) -> Vec<Value> {
        let asked =
            json!({ "operation": "timeline", "user_uuid": user, "limit": 100, "include_voided": true });
        let mut page = self.invoke("history", &asked).expect("a page");
        assert!(page["cursor"].is_null(), "more than a page");
        page["records"].as_array_mut().expect("records").drain(..).collect()
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [&[("authorization", AUTHORIZATION)], headers].concat();
        http::send(&self.agent, method, &format!("{}{path}", self.endpoint), &headers, body)
    }

    /// Calls a service that takes forms and answers in XML.
    fn form(&self, form: &[(&str, &str)]) -> String {
        let request = self.agent.post(&self.endpoint).header("authorization", AUTHORIZATION);
        let answer = request.send_form(form.iter().copied()).expect("an answer");
        answer.into_body().read_to_string().expect("text")
    }

    fn outputs_of(&self, stack: &str) -> BTreeMap<String, String> {
        let told = self.form(&[("Action", "DescribeStacks"), ("StackName", stack)]);
        let outputs = told.split("<Outputs>").nth(1).expect("outputs").split("<member>").skip(1);
        outputs.map(|output| (element(output, "OutputKey"), element(output, "OutputValue"))).collect()
    }
}

/// What the first element of this name says.
fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split('<').next().expect("one part").to_owned()
}

/// The template as it was built.
pub fn built() -> Value {
    let text = fs::read_to_string(tool("aws/template.yaml")).expect("what sam build made");
    yaml_serde::from_str(&text).expect("YAML without tags, as sam writes it")
}

/// The template as it was built, but for what ministack lacks.
fn adapted() -> Value {
    let mut template = built();
    // It has no CodeDeploy: every deployment is at once.
    let functions = template["Resources"].as_object_mut().expect("resources").values_mut();
    let functions = functions.filter(|resource| resource["Type"] == "AWS::Serverless::Function");
    for function in functions {
        without(&mut function["Properties"], "DeploymentPreference");
    }
    without(&mut template["Globals"]["Function"], "DeploymentPreference");
    // It has no metric math. tests/suite/alarms.rs tries what alarms say.
    let alarms = template["Resources"].as_object_mut().expect("resources").values_mut();
    let alarms = alarms.filter(|resource| resource["Type"] == "AWS::CloudWatch::Alarm");
    let alarms = alarms.map(|alarm| &mut alarm["Properties"]).filter(|alarm| alarm["Metrics"].is_array());
    for alarm in alarms {
        without(alarm, "Metrics");
        alarm["Namespace"] = json!("none");
        alarm["MetricName"] = json!("none");
    }
    // It asks the issuer for its keys, as API Gateway does, but would trust no
    // certificate that a test can make.
    template["Parameters"]["TokenIssuer"]["AllowedPattern"] = json!("http://.+");
    // Whose task a token is of it does not ask: such a call acts on anything.
    let statements =
        &mut template["Resources"]["WebhookRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
    for statement in statements.as_array_mut().expect("statements") {
        if statement["Action"].to_string().contains("states:SendTask") {
            statement["Resource"] = json!("*");
        }
    }
    // It refers to a secret by its name, where AWS has the ARN.
    let by_arn =
        template.to_string().replace(r#"{"Ref":"WebhookSecret"}"#, r#"{"Fn::GetAtt":"WebhookSecret.Id"}"#);
    by_arn.parse().expect("JSON")
}

fn without(settings: &mut Value, name: &str) {
    settings.as_object_mut().expect("settings").remove(name).expect(name);
}

/// Starts ministack there. The functions in it find AWS there too, and DynamoDB
/// behind the faults of the test.
fn start_ministack(endpoint: &str, outside: &Outside) -> Child {
    let (address, port) =
        (endpoint.trim_start_matches("http://"), endpoint.rsplit(':').next().expect("a port"));
    let mut ministack = kept(tool("venv/bin/python"), "aws");
    ministack.args(["-m", "ministack"]).envs([
        ("BIND_HOST", "127.0.0.1"),
        ("GATEWAY_PORT", port),
        ("IOT_MTLS_ENABLED", "0"),
        ("SFTP_ENABLED", "0"),
        // Signatures and policies count.
        ("AUTH", "true"),
        // The pauses of Retry, of which there are hours.
        ("SFN_WAIT_SCALE", "0.005"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ENDPOINT_URL_DYNAMODB", &outside.url),
    ]);
    let ministack = ministack.spawn().expect("a shell");
    wait_until("ministack listens; target/ci/aws.log has what it says", || {
        TcpStream::connect(address).is_ok()
    });
    ministack
}
