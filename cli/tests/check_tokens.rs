//! Where tokens of Google Cloud and Entra ID, and credentials of AWS, come from, by the policy and by the surroundings.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use weir_cli::check::{Compiled, Environment, Source, compile};
use weir_cli::plan::{Plan, SecretValue};
use weir_cli::resources::Platform;

const USER: &str =
    r#"{"type": "authorized_user", "client_id": "i", "client_secret": "hush", "refresh_token": "hush"}"#;
const EXTERNAL: &str = r#"{"type": "external_account", "audience": "a", "subject_token_type": "t",
    "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {"file": "/var/run/token"}}"#;

/// A gateway with a backend in a cloud, whose policy is `policy`.
fn compiled(
    schema: &str,
    policy: &str,
    secrets: &[(&str, &str, &str)],
    environment: &Environment,
) -> Compiled {
    let secret = |(name, key, value): &(&str, &str, &str)| {
        let data = json!({*key: value});
        format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {data}\n")
    };
    let text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: ai}}\nspec:\n  gatewayClassName: weir\n  \
         listeners: [{{name: http, protocol: HTTP, port: 1975}}]\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: weir}}\nspec: {{controllerName: c/c}}\n---\n\
         apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\nmetadata: {{name: models}}\nspec:\n  \
         parentRefs: [{{name: ai}}]\n  rules:\n  - backendRefs: [{{name: cloud}}]\n---\n\
         apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIServiceBackend\nmetadata: {{name: cloud}}\nspec:\n  \
         schema: {{name: {schema}}}\n  backendRef: {{group: gateway.envoyproxy.io, kind: Backend, name: cloud}}\n---\n\
         apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {{name: cloud}}\nspec: {{endpoints: [{{ip: {{address: \
         10.0.0.1, port: 80}}}}]}}\n---\n\
         apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: BackendSecurityPolicy\nmetadata: {{name: auth}}\nspec:\n  targetRefs: \
         [{{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: cloud}}]\n{policy}\n{}",
        secrets.iter().map(secret).collect::<String>()
    );
    compile(&[Source { name: "a.yaml".to_owned(), text }], environment)
}

fn plan(compiled: Compiled) -> Plan {
    assert!(compiled.errors.is_empty(), "{:#?}", compiled.errors);
    assert!(compiled.warnings.is_empty(), "{:#?}", compiled.warnings);
    compiled.plan.unwrap()
}

fn with(variables: &[(&str, &str)]) -> Environment {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Environment { variables: variables.collect(), is_on_google: true, ..Environment::default() }
}

fn in_pods() -> Environment {
    Environment::of_platform(Platform::EnvoyGateway)
}

fn source(plan: &Plan) -> Value {
    serde_json::to_value(&plan.filter.credentials["default/auth"]).unwrap()
}

fn secret(plan: &Plan) -> Option<&str> {
    plan.secrets.get("default/auth").map(|secret| secret.0.as_str())
}

fn google(fields: &str) -> String {
    format!("  type: GCPCredentials\n  gcpCredentials: {{projectName: ours, region: r{fields}}}")
}

fn azure(fields: &str) -> String {
    format!("  type: AzureCredentials\n  azureCredentials: {{{fields}}}")
}

fn of_google(fields: &str, secrets: &[(&str, &str, &str)], environment: &Environment) -> Compiled {
    compiled("GCPVertexAI", &google(fields), secrets, environment)
}

fn of_azure(fields: &str, secrets: &[(&str, &str, &str)], environment: &Environment) -> Compiled {
    compiled("AzureOpenAI", &azure(fields), secrets, environment)
}

const OIDC: &str = "{oidc: {provider: {issuer: 'https://idp.example'}, clientID: weir, clientSecret: {name: idp}, scopes: [a]}}";
const IDP: (&str, &str, &str) = ("idp", "client-secret", "hush");

#[test]
fn a_credentials_file_names_the_servers_that_are_called() {
    let file = ", credentialsFile: {secretRef: {name: google}}";
    let user = plan(of_google(file, &[("google", "service_account.json", USER)], &with(&[])));
    assert_eq!(
        source(&user),
        json!({
            "type": "google_file", "name": "default/google", "key": "service_account.json",
            "hosts": {"https://oauth2.googleapis.com": "weir_call_https_oauth2.googleapis.com"},
        })
    );
    assert_eq!((secret(&user), user.files.len()), (Some(USER), 0));
    let external = plan(of_google(file, &[("google", "service_account.json", EXTERNAL)], &with(&[])));
    assert_eq!(source(&external)["hosts"].as_object().unwrap().len(), 1);
    assert_eq!(external.files.keys().collect::<Vec<_>>(), ["/var/run/token"]);
    // Of one that only the pods see it is known where Google has its tokens.
    let unseen = plan(of_google(file, &[], &in_pods()));
    assert_eq!(source(&unseen), source(&user));
}

#[test]
fn a_token_in_a_secret_goes_before_all_else() {
    let file = ", credentialsFile: {secretRef: {name: google}}";
    let of_google = plan(of_google(file, &[("google", "gcpAccessToken", "t")], &with(&[])));
    assert_eq!(
        source(&of_google),
        json!({"type": "secret", "name": "default/google", "key": "gcpAccessToken"})
    );
    let token = [("ai-eg-bsp-auth", "azureAccessToken", "t")];
    let client = "clientID: c, tenantID: t, clientSecretRef: {name: client}";
    let of_azure = plan(of_azure(client, &token, &with(&[])));
    assert_eq!(
        source(&of_azure),
        json!({"type": "secret", "name": "default/ai-eg-bsp-auth", "key": "azureAccessToken"})
    );
}

#[test]
fn federation_is_an_exchange_of_tokens() {
    let federation = |more: &str| {
        format!(
            ", workloadIdentityFederationConfig: {{projectID: '1', workloadIdentityPoolName: pool, \
             workloadIdentityProviderName: idp, oidcExchangeToken: {OIDC}{more}}}"
        )
    };
    let own = plan(of_google(&federation(""), &[IDP], &with(&[])));
    assert_eq!(
        source(&own),
        json!({
            "type": "google_federation",
            "oidc": {
                "issuer": "https://idp.example", "client_id": "weir", "name": "default/idp", "key": "client-secret",
                "scopes": ["a"],
            },
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/idp",
            "token_url": "https://sts.googleapis.com/v1/token",
            "hosts": {
                "https://idp.example": "weir_call_https_idp.example",
                "https://sts.googleapis.com": "weir_call_https_sts.googleapis.com",
            },
        })
    );
    assert_eq!(secret(&own), Some("hush"));
    let private =
        with(&[("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "https://iam.p.googleapis.com/")]);
    let account = federation(", serviceAccountImpersonation: {serviceAccountName: weir}");
    assert_eq!(
        source(&plan(of_google(&account, &[IDP], &private)))["impersonation_url"],
        "https://iam.p.googleapis.com/v1/projects/-/serviceAccounts/weir@ours.iam.gserviceaccount.com:generateAccessToken"
    );
}

#[test]
fn googles_default_is_a_file_then_the_metadata_server() {
    let file = Environment { google_credentials_file: Some(SecretValue(USER.to_owned())), ..with(&[]) };
    let of_file = plan(of_google("", &[], &file));
    assert_eq!(source(&of_file)["type"], "google_file");
    assert_eq!(secret(&of_file), Some(USER));
    for (environment, server) in [
        (with(&[]), "http://169.254.169.254"),
        (with(&[("GCE_METADATA_HOST", "127.0.0.1:8080")]), "http://127.0.0.1:8080"),
        (in_pods(), "http://169.254.169.254"),
    ] {
        let of_server = plan(of_google("", &[], &environment));
        assert_eq!(
            (&source(&of_server)["type"], &source(&of_server)["server"]),
            (&json!("google_metadata"), &json!(server))
        );
        assert_eq!(secret(&of_server), None);
    }
    let warnings = of_google("", &[], &Environment::default()).warnings;
    assert!(warnings[0].message.contains("no Application Default Credentials"), "{warnings:#?}");
    let errors = of_google("", &[], &with(&[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")])).errors;
    assert!(errors[0].message.contains("names /nowhere, which cannot be read"), "{errors:#?}");
}

#[test]
fn an_application_has_a_secret_or_a_token() {
    let client = "clientID: c, tenantID: t, clientSecretRef: {name: client}";
    let secrets = [("client", "client-secret", "hush")];
    let of_secret = plan(of_azure(client, &secrets, &with(&[])));
    let expected = json!({
        "type": "azure_app", "token_url": "https://login.microsoftonline.com/t/oauth2/v2.0/token", "client_id": "c",
        "resource": "https://cognitiveservices.azure.com",
        "proof": {"secret": {"name": "default/client", "key": "client-secret"}},
        "hosts": {"https://login.microsoftonline.com": "weir_call_https_login.microsoftonline.com"},
    });
    assert_eq!((source(&of_secret), secret(&of_secret)), (expected, Some("hush")));
    for (host, url, resource) in [
        (
            "login.microsoftonline.us",
            "https://login.microsoftonline.us/t/",
            "https://cognitiveservices.azure.us",
        ),
        (
            "https://login.partner.microsoftonline.cn/",
            "https://login.partner.microsoftonline.cn/t/",
            "https://cognitiveservices.azure.cn",
        ),
    ] {
        let source = source(&plan(of_azure(client, &secrets, &with(&[("AZURE_AUTHORITY_HOST", host)]))));
        assert!(source["token_url"].as_str().unwrap().starts_with(url), "{source}");
        assert_eq!(source["resource"], resource);
    }
    let exchange = format!("clientID: c, tenantID: t, oidcExchangeToken: {OIDC}");
    let of_token = plan(of_azure(&exchange, &[IDP], &with(&[])));
    assert_eq!(source(&of_token)["proof"]["oidc"]["client_id"], "weir");
    assert_eq!(source(&of_token)["hosts"].as_object().unwrap().len(), 2);
}

#[test]
fn a_managed_identity_is_what_the_surroundings_have() {
    let identity = |fields: &str, variables: &[(&str, &str)]| {
        plan(of_azure(&format!("managedIdentity: {{{fields}}}"), &[], &with(variables)))
    };
    let app = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")];
    let client_secret = ("AZURE_CLIENT_SECRET", "hush");
    let token = ("AZURE_FEDERATED_TOKEN_FILE", "/token");
    let server = [("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token"), ("IDENTITY_HEADER", "hush")];
    let [tenant, client] = app;

    let of_secret = identity("", &[tenant, client, client_secret, token]);
    assert_eq!(source(&of_secret)["proof"]["secret"]["key"], "AZURE_CLIENT_SECRET");
    assert_eq!(secret(&of_secret), Some("hush"));
    let of_file = identity("", &[tenant, client, token]);
    assert_eq!(source(&of_file)["proof"], json!({"file": "/token"}));
    assert_eq!(of_file.files.keys().collect::<Vec<_>>(), ["/token"]);
    let said = identity("clientID: d", &[tenant, client, client_secret, token]);
    assert_eq!(
        (&source(&said)["client_id"], &source(&said)["proof"]["file"]),
        (&json!("d"), &json!("/token"))
    );
    let of_server = identity("", &server);
    assert_eq!(source(&of_server)["server"]["app_service"]["endpoint"], "http://127.0.0.1:1/msi/token");
    assert_eq!(secret(&of_server), Some("hush"));
    let of_machine = source(&identity("clientID: d", &[]));
    assert_eq!(
        (&of_machine["server"]["imds"], &of_machine["client_id"]),
        (&json!("http://169.254.169.254"), &json!("d"))
    );

    let of_pod = source(&plan(of_azure("managedIdentity: {}", &[], &in_pods())));
    assert_eq!(of_pod["type"], "azure_default");
    assert_eq!(of_pod["hosts"].as_object().unwrap().len(), 2);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let file = ", credentialsFile: {secretRef: {name: google}}";
    let client = "clientSecretRef: {name: client}";
    let error =
        |compiled: Compiled| compiled.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let google = |fields: &str, text: &str| {
        error(of_google(fields, &[("google", "service_account.json", text)], &with(&[])))
    };
    for (got, part) in [
        (
            google(file, "{}"),
            "Secret default/google: service_account.json: the Google credentials file has no `type`",
        ),
        (
            google(file, r#"{"type": "service_account", "client_email": "a", "private_key": "hush"}"#),
            "no RSA key in PEM",
        ),
        (google(&format!("{file}, isPassthrough: true"), USER), "spec.gcpCredentials.isPassthrough: "),
        (
            google(&format!("{file}, workloadIdentityFederationConfig: {{projectID: a}}"), USER),
            "workloadIdentityPoolName",
        ),
        (
            error(of_azure(&format!("{client}, oidcExchangeToken: {OIDC}"), &[IDP], &with(&[]))),
            "spec.azureCredentials: has several sources",
        ),
        (
            error(of_azure("clientID: c, tenantID: t", &[], &with(&[]))),
            "spec.azureCredentials: has no way to a token",
        ),
        (error(of_azure(client, &[], &with(&[]))), "spec.azureCredentials.clientID: is missing"),
        (
            error(of_azure(
                &format!("clientID: c, tenantID: a/b, {client}"),
                &[("client", "client-secret", "hush")],
                &with(&[]),
            )),
            "spec.azureCredentials.tenantID: is neither",
        ),
        (
            error(of_azure("clientID: c, managedIdentity: {}", &[], &with(&[]))),
            "spec.azureCredentials.clientID: does not belong",
        ),
        (
            error(compiled("OpenAI", "  type: OpenAICredentials\n  openAICredentials: {}", &[], &with(&[]))),
            "OpenAICredentials",
        ),
    ] {
        assert!(got.contains(part) && !got.contains("hush"), "{got}\nhas not: {part}");
    }
}

#[test]
fn what_is_not_encrypted_is_warned_of() {
    let oidc = |issuer: &str| {
        let exchange = OIDC.replace("https://idp.example", issuer);
        of_azure(&format!("clientID: c, tenantID: t, oidcExchangeToken: {exchange}"), &[IDP], &with(&[]))
    };
    let warnings = oidc("http://idp.example").warnings;
    assert!(warnings[0].message.contains("http://idp.example is not encrypted"), "{warnings:#?}");
    assert!(oidc("http://127.0.0.1:1").warnings.is_empty());
    assert!(oidc("idp.example").errors[0].message.contains("is no URL"));
}

fn of_aws(fields: &str, secrets: &[(&str, &str, &str)], environment: &Environment) -> Compiled {
    let policy = format!("  type: AWSCredentials\n  awsCredentials: {{region: eu-west-1{fields}}}");
    compiled("AWSAnthropic", &policy, secrets, environment)
}

const STS: &str = "https://sts.eu-west-1.amazonaws.com";
const METADATA: &str = "http://169.254.169.254";

fn calls(source: &Value, place: &str) -> Vec<String> {
    let hosts = source.pointer(place).and_then(Value::as_object);
    hosts.into_iter().flat_map(|hosts| hosts.keys().cloned()).collect()
}

#[test]
fn the_token_of_a_service_account_leads_to_a_role_of_aws() {
    let irsa = with(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "arn:r")]);
    let plan = plan(of_aws("", &[], &irsa));
    let found = source(&plan);
    assert_eq!((&found["type"], &found["role_arn"]), (&json!("aws_web_identity"), &json!("arn:r")));
    assert_eq!((&found["token"]["file"], &found["sts"]["region"]), (&json!("/token"), &json!("eu-west-1")));
    assert_eq!(calls(&found, "/hosts"), [STS]);
    assert!(plan.files.contains_key("/token"), "for a filter that reads no files");
}

#[test]
fn pods_find_their_credentials_of_aws_themselves() {
    let found = source(&plan(of_aws("", &[], &in_pods())));
    assert_eq!((&found["type"], &found["instance"]), (&json!("aws_default"), &json!(METADATA)));
    assert_eq!(calls(&found, "/hosts"), [METADATA, STS]);
}

#[test]
fn a_profile_has_the_calls_that_it_leads_to() {
    let file = "[default]\naws_access_key_id = A\naws_secret_access_key = hush\n\
                [role]\nrole_arn = arn:r\nsource_profile = default\n\
                [ec2]\nrole_arn = arn:r\ncredential_source = Ec2InstanceMetadata\n\
                [process]\ncredential_process = /bin/hush\n";
    let of = |profile: &str, environment: &Environment| {
        let fields = format!(", credentialsFile: {{secretRef: {{name: aws}}, profile: {profile}}}");
        of_aws(&fields, &[("aws", "credentials", file)], environment)
    };
    for environment in [with(&[]), in_pods()] {
        for (profile, hosts) in [("default", &[][..]), ("role", &[STS]), ("ec2", &[METADATA, STS])] {
            let found = source(&plan(of(profile, &environment)));
            assert_eq!(calls(&found, "/calls/hosts"), hosts, "{profile}");
        }
    }
    for (profile, why) in [
        (
            "process",
            "profile process of the credentials file has no keys; credential_process is not supported",
        ),
        ("gone", "the credentials file has no profile gone, only default, role, ec2, process"),
    ] {
        let errors = of(profile, &with(&[])).errors;
        let [error] = errors.as_slice() else { panic!("{errors:#?}") };
        assert!(error.message.contains(why) && !error.message.contains("hush"), "{error}");
    }
}

#[test]
fn the_token_of_a_provider_leads_to_a_role_of_aws() {
    let exchange = "oidcExchangeToken: {awsRoleArn: arn:r, oidc: {provider: {issuer: https://idp.example}, clientID: i, \
                    clientSecret: {name: idp}}}";
    let secret = [("idp", "client-secret", "hush")];
    for environment in [with(&[]), in_pods()] {
        let found = source(&plan(of_aws(&format!(", {exchange}"), &secret, &environment)));
        assert_eq!(found["token"]["oidc"]["issuer"], "https://idp.example");
        assert_eq!(calls(&found, "/hosts"), ["https://idp.example", STS]);
    }
    let both = format!(", credentialsFile: {{secretRef: {{name: idp}}}}, {exchange}");
    let errors = of_aws(&both, &secret, &with(&[])).errors;
    assert!(errors[0].message.starts_with("has two sources"), "{errors:#?}");
}
