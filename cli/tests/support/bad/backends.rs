//! Mistakes in backends and their credentials.

use super::Case;

pub(super) const CASES: &[Case] = &[
    // Backends
    ("schema that is not supported", &[("schema: {name: OpenAI}", "schema: {name: TypeSafe}")], ""),
    ("no such schema", &[("schema: {name: OpenAI}", "schema: {name: OpenIA}")], ""),
    ("version of OpenAI", &[("schema: {name: OpenAI}", "schema: {name: OpenAI, version: v1}")], ""),
    (
        "filtered values of a schema that has none",
        &[(
            "schema: {name: OpenAI}",
            "schema: {name: OpenAI}\n  headerValueFilters: [{name: anthropic-beta, values: [a]}]",
        )],
        "",
    ),
    (
        "a filter of a header that has none",
        &[(
            "schema: {name: AWSAnthropic}",
            "schema: {name: AWSAnthropic}\n  headerValueFilters: [{name: x-beta, values: [a]}]",
        )],
        "",
    ),
    (
        "two filters of a header",
        &[(
            "schema: {name: AWSAnthropic}",
            "schema: {name: AWSAnthropic}\n  headerValueFilters: [{name: anthropic-beta, values: [a]}, {name: Anthropic-Beta, values: [b]}]",
        )],
        "",
    ),
    (
        "a filter of no mode",
        &[(
            "schema: {name: AWSAnthropic}",
            "schema: {name: AWSAnthropic}\n  headerValueFilters: [{name: anthropic-beta, mode: Blocklist}]",
        )],
        "",
    ),
    (
        "Service as backend",
        &[(
            "backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: openai-servers}",
            "backendRef: {name: openai-servers, port: 80}",
        )],
        "",
    ),
    (
        "no such Backend",
        &[("kind: Backend, name: openai-servers}", "kind: Backend, name: openai-server}")],
        "",
    ),
    (
        "no endpoints",
        &[(
            "spec: {endpoints: [{fqdn: {hostname: openai.example.com, port: 8000}}]}",
            "spec: {endpoints: []}",
        )],
        "",
    ),
    ("Unix socket", &[("{fqdn: {hostname: openai.example.com, port: 8000}}", "{unix: {path: /run/a}}")], ""),
    (
        "address as a name",
        &[(
            "{fqdn: {hostname: openai.example.com, port: 8000}}",
            "{ip: {address: openai.example.com, port: 8000}}",
        )],
        "",
    ),
    (
        "URL as a name",
        &[("hostname: openai.example.com, port: 8000", "hostname: 'https://openai.example.com', port: 8000")],
        "",
    ),
    (
        "443 without TLS",
        &[("hostname: openai.example.com, port: 8000", "hostname: openai.example.com, port: 443")],
        "",
    ),
    (
        "TLS for nothing",
        &[(
            "targetRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: bedrock-servers}]",
            "targetRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: bedrock}]",
        )],
        "",
    ),
    ("TLS without CAs", &[("wellKnownCACertificates: System, ", "")], ""),
    (
        "TLS with a missing CA",
        &[(
            "wellKnownCACertificates: System, ",
            "caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}], ",
        )],
        "",
    ),
    // Credentials
    ("no such Secret", &[("apiKey: {secretRef: {name: keys}}", "apiKey: {secretRef: {name: key}}")], ""),
    ("Secret without its key", &[("  apiKey: sk-hush", "  api-key: sk-hush")], ""),
    ("Secret with another key", &[("  apiKey: sk-hush", "  token: sk-hush")], ""),
    (
        "Secret not in base64",
        &[("stringData:\n  apiKey: sk-hush", "data:\n  apiKey: sk-hush\nstringData:")],
        "",
    ),
    ("empty key", &[("apiKey: sk-hush", "apiKey: ''")], ""),
    ("placeholder", &[("apiKey: sk-hush", "apiKey: <YOUR_KEY>")], ""),
    ("key in a wrong place", &[("apiKey: {secretRef: {name: keys}}", "apiKey: sk-hush")], ""),
    ("type without its field", &[("  apiKey: {secretRef: {name: keys}}\n", "")], ""),
    ("field of another type", &[("type: APIKey", "type: AnthropicAPIKey")], ""),
    (
        "credentials that do not fit",
        &[
            ("kind: AIServiceBackend, name: bedrock}]", "kind: AIServiceBackend, name: openai}]"),
            (
                "kind: AIServiceBackend, name: openai}]\n  type: APIKey",
                "kind: AIServiceBackend, name: bedrock}]\n  type: APIKey",
            ),
        ],
        "",
    ),
    (
        "no credential of one's own beside that of requests",
        &[("  apiKey: {secretRef: {name: keys}}", "  credentialOverride: {fromRequestHeaders: {}}")],
        "",
    ),
    (
        "credentials from no metadata",
        &[(
            "  apiKey: {secretRef: {name: keys}}",
            "  credentialOverride: {fromDynamicMetadata: {fallbackToConfigured: false}}",
        )],
        "",
    ),
    (
        "credentials from metadata of nobody",
        &[(
            "  apiKey: {secretRef: {name: keys}}",
            "  credentialOverride: {fromDynamicMetadata: {namespace: '', fallbackToConfigured: false}}",
        )],
        "",
    ),
    (
        "credentials from two places",
        &[(
            "  apiKey: {secretRef: {name: keys}}",
            "  credentialOverride: {fromRequestHeaders: {}, fromDynamicMetadata: {namespace: a}}",
        )],
        "",
    ),
    (
        "credentials from nowhere",
        &[(
            "  apiKey: {secretRef: {name: keys}}",
            "  apiKey: {secretRef: {name: keys}}\n  credentialOverride: {}",
        )],
        "",
    ),
    (
        "no name of a header",
        &[(
            "  apiKey: {secretRef: {name: keys}}",
            "  credentialOverride: {fromRequestHeaders: {header: 'x key', fallbackToConfigured: false}}",
        )],
        "",
    ),
    (
        "a credential of requests without its region",
        &[(
            "  awsCredentials: {region: us-west-2, credentialsFile: {secretRef: {name: keys}}}",
            "  credentialOverride: {fromRequestHeaders: {fallbackToConfigured: false}}",
        )],
        "",
    ),
    ("Azure's key to OpenAI", &[("type: APIKey\n  apiKey", "type: AzureAPIKey\n  azureAPIKey")], ""),
    ("Azure's key in a wrong place", &[("type: APIKey", "type: AzureAPIKey")], ""),
    (
        "no token for Azure",
        &[(
            "type: APIKey\n  apiKey: {secretRef: {name: keys}}",
            "type: AzureCredentials\n  azureCredentials: {clientID: a, tenantID: b, clientSecretRef: {name: keys}}",
        )],
        "",
    ),
    (
        "GCP",
        &[(
            "type: APIKey\n  apiKey: {secretRef: {name: keys}}",
            "type: GCPCredentials\n  gcpCredentials: {}",
        )],
        "",
    ),
    (
        "a Secret without a token of Google's",
        &[(
            "type: APIKey\n  apiKey: {secretRef: {name: keys}}",
            "type: GCPCredentials\n  gcpCredentials: {projectName: p, region: r, credentialsFile: {secretRef: {name: keys}}}",
        )],
        "",
    ),
    (
        "Google without a token",
        &[(
            "type: APIKey\n  apiKey: {secretRef: {name: keys}}",
            "type: GCPCredentials\n  gcpCredentials: {projectName: p, region: r}",
        )],
        "",
    ),
    (
        "a service account of Google's",
        &[(
            "type: APIKey\n  apiKey: {secretRef: {name: keys}}",
            "type: GCPCredentials\n  gcpCredentials: {projectName: p, region: r, credentialsFile: {secretRef: {name: account}}}",
        )],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: account}\nstringData: {service_account.json: '{}'}",
    ),
    ("OIDC", &[("credentialsFile: {secretRef: {name: keys}}", "oidcExchangeToken: {}")], ""),
    ("no region", &[("region: us-west-2, ", "")], ""),
    (
        "no such profile",
        &[(
            "credentialsFile: {secretRef: {name: keys}}",
            "credentialsFile: {secretRef: {name: keys}, profile: prod}",
        )],
        "",
    ),
    ("half a profile", &[("    aws_secret_access_key = hush\n", "")], ""),
    (
        "credentials for nothing",
        &[("kind: AIServiceBackend, name: openai}]", "kind: AIServiceBackend, name: openia}]")],
        "",
    ),
    (
        "two credentials",
        &[(
            "kind: AIServiceBackend, name: openai}]",
            "kind: AIServiceBackend, name: openai}, {group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: bedrock}]",
        )],
        "",
    ),
];
