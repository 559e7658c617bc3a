//! AWSCredentials: a credentials file, a role for the token of another provider, or what the AWS SDKs find by
//! themselves.

use weir_core::auth::{
    AwsCalls, AwsNeeds, AwsProfile, AwsWebIdentity, ContainerEndpoint, Hosts, Source, SourceError, Sts,
    WebToken,
};
use weir_core::config::Auth;

use super::{Credential, Way, hosts, is_elsewhere, oidc, secret_name, secret_value, written};
use crate::check::aws_chain::{self, DefaultChain};
use crate::check::environment::Environment;
use crate::plan::{AwsContainer, SecretValue, authority};
use crate::resources::backend_security::{
    AwsCredentialsFile, AwsCredentialsSpec, AwsOidcExchangeTokenSpec, BackendSecurityPolicySpec,
};
use crate::resources::set::Resource;
use crate::resources::{Report, ResourceId, Set};

const FIELD: &str = "spec.awsCredentials";
/// The key of a Secret that has a credentials file.
const FILE: &str = "credentials";

pub(super) fn read(
    policy: &Resource<BackendSecurityPolicySpec>,
    spec: &AwsCredentialsSpec,
    set: &Set,
    environment: &Environment,
    report: &mut Report,
) -> Option<Credential> {
    let id = &policy.id;
    if spec.region.is_empty() {
        report.error(id, format!("{FIELD}.region"), "is empty; name the region, such as `us-east-1`");
    }
    let places = Places::of(environment, &spec.region);
    let found = match (&spec.credentials_file, &spec.oidc_exchange_token) {
        (Some(file), None) => of_secret(id, file, &places, set, report)?,
        (None, Some(exchange)) => Found::of(of_provider(id, exchange, &places, set, report)?),
        (None, None) => by_default(id, &places, report)?,
        (Some(_), Some(_)) => {
            report.error(id, FIELD, "has two sources; say one of `credentialsFile` and `oidcExchangeToken`");
            return None;
        }
    };
    let auth = Auth::AwsSigv4 { credential: id.full_name(), region: spec.region.clone() };
    Some(Credential { container: found.container, ..found.way.credential(policy, auth) })
}

/// What a policy comes to.
struct Found {
    way: Way,
    /// The endpoint of a container that its source names.
    container: Option<AwsContainer>,
}

impl Found {
    fn of(way: Way) -> Self {
        Self { way, container: None }
    }
}

/// Where there is something to ask.
struct Places<'e> {
    environment: &'e Environment,
    sts: Sts,
    instance: String,
}

impl<'e> Places<'e> {
    fn of(environment: &'e Environment, region: &str) -> Self {
        let sts = aws_chain::sts(environment, region);
        Self { environment, sts, instance: aws_chain::instance(environment) }
    }

    /// What is called for `needs`, and the endpoint of a container that is among it.
    fn calls(
        &self,
        id: &ResourceId,
        needs: &AwsNeeds,
        report: &mut Report,
    ) -> Option<(AwsCalls, Option<AwsContainer>)> {
        let urls = [needs.sts.then_some(self.sts.url.as_str()), needs.instance.then_some(&self.instance)];
        let urls: Vec<&str> = urls.into_iter().flatten().collect();
        let container = match aws_chain::container(self.environment) {
            DefaultChain::Container(endpoint) if needs.container => Some(endpoint),
            _ => None,
        };
        let calls = AwsCalls {
            container: container.as_ref().map(endpoint),
            sts: needs.sts.then(|| self.sts.clone()),
            instance: needs.instance.then(|| self.instance.clone()),
            hosts: hosts(id, FIELD, &urls, report)?,
        };
        Some((calls, container))
    }
}

fn endpoint(container: &AwsContainer) -> ContainerEndpoint {
    ContainerEndpoint {
        token_from_environment: false,
        if_announced: false,
        cluster: AwsContainer::CLUSTER.to_owned(),
        authority: authority(&container.host, container.port, container.tls),
        path: container.path.clone(),
    }
}

/// A file in a Secret.
fn of_secret(
    id: &ResourceId,
    file: &AwsCredentialsFile,
    places: &Places<'_>,
    set: &Set,
    report: &mut Report,
) -> Option<Found> {
    let field = format!("{FIELD}.credentialsFile");
    let name = secret_name(id, &file.secret_ref);
    if is_elsewhere(id, &file.secret_ref, set) {
        let source = file_source(name, file.profile.clone(), AwsCalls::default());
        return Some(Found::of(Way::of(source, Some(SecretValue(String::new())))));
    }
    let (secret, value) =
        secret_value(id, &format!("{field}.secretRef"), &file.secret_ref, FILE, set, report)?;
    let needs = match AwsNeeds::of(&value.0, &file.profile) {
        Ok(needs) => needs,
        Err(error @ SourceError::NoSuchProfile(..)) => {
            report.error(id, format!("{field}.profile"), format!("{secret}: {error}"));
            return None;
        }
        Err(error) => {
            report.error(secret, FILE, error.to_string());
            return None;
        }
    };
    of_file(id, name, value, file.profile.clone(), &needs, places, report)
}

/// A file whose text is known.
fn of_file(
    id: &ResourceId,
    name: String,
    text: &SecretValue,
    profile: String,
    needs: &AwsNeeds,
    places: &Places<'_>,
    report: &mut Report,
) -> Option<Found> {
    let (calls, container) = places.calls(id, needs, report)?;
    let source = file_source(name, profile, calls);
    let way = Way { source, secret: Some(text.clone()), file: needs.token_file.clone() };
    Some(Found { way, container })
}

fn file_source(name: String, profile: String, calls: AwsCalls) -> Source {
    Source::AwsFile(AwsProfile { name, key: FILE.to_owned(), profile, calls })
}

/// A role for the token of an OpenID Connect provider.
fn of_provider(
    id: &ResourceId,
    spec: &AwsOidcExchangeTokenSpec,
    places: &Places<'_>,
    set: &Set,
    report: &mut Report,
) -> Option<Way> {
    let field = format!("{FIELD}.oidcExchangeToken");
    let role = written(id, format!("{field}.awsRoleArn"), &spec.aws_role_arn, report);
    let client = oidc::read(id, &field, &spec.exchange(), set, report)?;
    let mut urls: Vec<&str> = client.urls.iter().map(String::as_str).collect();
    urls.push(&places.sts.url);
    let hosts = hosts(id, &field, &urls, report)?;
    let source = web_identity(WebToken::Oidc(client.oidc), role?, None, places, hosts);
    Some(Way::of(source, Some(client.secret)))
}

fn web_identity(
    token: WebToken,
    role: &str,
    session: Option<&str>,
    places: &Places<'_>,
    hosts: Hosts,
) -> Source {
    Source::AwsWebIdentity(AwsWebIdentity {
        token,
        role_arn: role.to_owned(),
        session_name: session.map(str::to_owned),
        sts: places.sts.clone(),
        hosts,
    })
}

/// What this machine has, or what a pod may have.
fn by_default(id: &ResourceId, places: &Places<'_>, report: &mut Report) -> Option<Found> {
    let all = AwsNeeds { sts: true, instance: true, ..AwsNeeds::default() };
    if places.environment.platform.is_cluster() {
        let (calls, _) = places.calls(id, &all, report)?;
        return Some(Found::of(Way::of(Source::AwsDefault(calls), None)));
    }
    let (needs, warning) = match aws_chain::of(places.environment) {
        DefaultChain::File { text, profile, needs } => {
            let name = "of this environment".to_owned();
            return of_file(id, name, &text, profile, &needs, places, report);
        }
        DefaultChain::WebIdentity { token_file, role, session } => {
            let hosts = hosts(id, FIELD, &[&places.sts.url], report)?;
            let token = WebToken::File(token_file.clone());
            let source = web_identity(token, &role, session.as_deref(), places, hosts);
            return Some(Found::of(Way { source, secret: None, file: Some(token_file) }));
        }
        DefaultChain::Container(_) => (AwsNeeds { container: true, ..AwsNeeds::default() }, None),
        DefaultChain::Instance => {
            let message = "this machine has no AWS credentials, unless it is an EC2 instance with a role: set \
                           AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a Secret in `credentialsFile`";
            (AwsNeeds { instance: true, ..AwsNeeds::default() }, Some(message.to_owned()))
        }
        DefaultChain::Unusable(reason) => {
            (AwsNeeds::default(), Some(format!("there will be no AWS credentials: {reason}")))
        }
        DefaultChain::Nothing => {
            let message = "this machine has no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                           run with EKS Pod Identity, or name a Secret in `credentialsFile`";
            (AwsNeeds::default(), Some(message.to_owned()))
        }
    };
    if let Some(warning) = warning {
        report.warning(id, FIELD, warning);
    }
    let (calls, container) = places.calls(id, &needs, report)?;
    Some(Found { way: Way::of(Source::AwsDefault(calls), None), container })
}
