//! Mistakes in resources.

/// A name, replacements in the base, and what is added to it.
pub(crate) type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

pub(crate) const CASES: &[Case] = &[
    // YAML and the frame of a resource
    ("broken YAML", &[("metadata: {name: chat}", "metadata: {name: chat")], ""),
    ("duplicate key", &[("metadata: {name: chat}", "metadata: {name: chat}\nmetadata: {name: chat}")], ""),
    ("no resource", &[], "just: text"),
    (
        "unknown kind",
        &[(
            "kind: AIServiceBackend\nmetadata: {name: openai}",
            "kind: AIServiceBackends\nmetadata: {name: openai}",
        )],
        "",
    ),
    (
        "kind of another group",
        &[],
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: AIServiceBackend\nmetadata: {name: x}\nspec: {}",
    ),
    (
        "kind that is not supported",
        &[],
        "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: MCPRoute\nmetadata: {name: tools}\nspec: {}",
    ),
    (
        "unknown version",
        &[],
        "apiVersion: aigateway.envoyproxy.io/v1\nkind: AIGatewayRoute\nmetadata: {name: x}\nspec: {}",
    ),
    ("foreign kind", &[], "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {}"),
    ("no name", &[("metadata: {name: clients}", "metadata: {}")], ""),
    ("slip in metadata", &[("metadata: {name: clients}", "metadata: {name: clients, namspace: a}")], ""),
    ("name in capitals", &[("metadata: {name: clients}", "metadata: {name: Clients}")], ""),
    ("twice the same", &[], "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: default}"),
    ("unknown field", &[("gatewayClassName: envoy\n", "gatewayClassName: envoy\n  listners: []\n")], ""),
    (
        "several mistakes at once",
        &[("priority: 0}", "priority: first, wieght: 2}"), ("unit: Hour", "unit: hour")],
        "",
    ),
    ("no spec", &[("spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}", "")], ""),
    // Gateways
    (
        "no Gateway",
        &[("kind: Gateway\nmetadata: {name: edge}", "kind: ReferenceGrant\nmetadata: {name: edge}")],
        "",
    ),
    ("class elsewhere", &[("gatewayClassName: envoy", "gatewayClassName: envoi")], ""),
    (
        "missing EnvoyProxy",
        &[(
            "gatewayclass-controller}",
            "gatewayclass-controller, parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: proxy}}",
        )],
        "",
    ),
    (
        "HTTPS listener",
        &[(
            "protocol: HTTP, port: 8080",
            "protocol: HTTPS, port: 8080, tls: {certificateRefs: [{name: cert}]}",
        )],
        "",
    ),
    ("no such protocol", &[("protocol: HTTP, port: 8080", "protocol: HTPT, port: 8080")], ""),
    ("port twice", &[("port: 8080}", "port: 8080}, {name: other, protocol: HTTP, port: 8080}")], ""),
    ("listener twice", &[("port: 8080}", "port: 8080}, {name: http, protocol: HTTP, port: 8081}")], ""),
    ("port beyond", &[("port: 8080}", "port: 80800}")], ""),
    (
        "namespaces by label",
        &[("port: 8080}", "port: 8080, allowedRoutes: {namespaces: {from: Selector, selector: {}}}}")],
        "",
    ),
    // Attaching
    ("no parent", &[("  parentRefs: [{name: edge}]\n", "")], ""),
    ("no such Gateway", &[("parentRefs: [{name: edge}]", "parentRefs: [{name: egde}]")], ""),
    (
        "no such listener",
        &[("parentRefs: [{name: edge}]", "parentRefs: [{name: edge, sectionName: https}]")],
        "",
    ),
    ("no such port", &[("parentRefs: [{name: edge}]", "parentRefs: [{name: edge, port: 443}]")], ""),
    ("not admitted", &[("port: 8080}", "port: 8080, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}")], ""),
    (
        "other host name",
        &[
            ("port: 8080}", "port: 8080, hostname: a.com}"),
            ("parentRefs: [{name: edge}]", "parentRefs: [{name: edge}]\n  hostnames: [b.com]"),
        ],
        "",
    ),
    (
        "bad host name",
        &[("parentRefs: [{name: edge}]", "parentRefs: [{name: edge}]\n  hostnames: ['https://b.com']")],
        "",
    ),
    // Rules
    (
        "backend that nothing defines",
        &[("{name: bedrock, priority: 1}", "{name: bedrock-aws, priority: 1}")],
        "",
    ),
    (
        "backend of another namespace",
        &[("{name: bedrock, priority: 1}", "{name: bedrock, namespace: prod, priority: 1}")],
        "",
    ),
    ("no backends", &[("backendRefs: [{name: openai}]", "backendRefs: []")], ""),
    (
        "InferencePool",
        &[(
            "backendRefs: [{name: openai}]",
            "backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: pool}]",
        )],
        "",
    ),
    ("no weight", &[("backendRefs: [{name: openai}]", "backendRefs: [{name: openai, weight: 0}]")], ""),
    (
        "negative weight",
        &[("backendRefs: [{name: openai}]", "backendRefs: [{name: openai, weight: -1}]")],
        "",
    ),
    (
        "bad pattern",
        &[(
            "{name: x-ai-eg-model, value: one}",
            "{name: x-ai-eg-model, type: RegularExpression, value: '(a'}",
        )],
        "",
    ),
    (
        "look-ahead",
        &[(
            "{name: x-ai-eg-model, value: one}",
            "{name: x-ai-eg-model, type: RegularExpression, value: '(?=a)b'}",
        )],
        "",
    ),
    ("header twice", &[("value: one}", "value: one}, {name: X-AI-EG-Model, value: two}")], ""),
    ("same model twice", &[("value: two", "value: one")], ""),
    (
        "timeout without unit",
        &[("backendRefs: [{name: openai}]", "timeouts: {request: 60}\n      backendRefs: [{name: openai}]")],
        "",
    ),
    (
        "timeouts upside down",
        &[(
            "backendRefs: [{name: openai}]",
            "timeouts: {request: 10s, backendRequest: 1m}\n      backendRefs: [{name: openai}]",
        )],
        "",
    ),
    (
        "rules of one name",
        &[
            (
                "- matches: [{headers: [{name: x-ai-eg-model, value: one}]}]",
                "- name: a\n      matches: [{headers: [{name: x-ai-eg-model, value: one}]}]",
            ),
            (
                "- matches: [{headers: [{name: x-ai-eg-model, value: two}]}]",
                "- name: a\n      matches: [{headers: [{name: x-ai-eg-model, value: two}]}]",
            ),
        ],
        "",
    ),
    (
        "no time",
        &[(
            "backendRefs: [{name: openai}]",
            "modelsCreatedAt: yesterday\n      backendRefs: [{name: openai}]",
        )],
        "",
    ),
    (
        "reserved header",
        &[(
            "backendRefs: [{name: openai}]",
            "backendRefs: [{name: openai, headerMutation: {set: [{name: Host, value: a}], remove: ['a b']}}]",
        )],
        "",
    ),
    (
        "body value that is no JSON",
        &[(
            "backendRefs: [{name: openai}]",
            "backendRefs: [{name: openai, bodyMutation: {set: [{path: service_tier, value: scale}]}}]",
        )],
        "",
    ),
    (
        "set and removed",
        &[(
            "backendRefs: [{name: openai}]",
            "backendRefs: [{name: openai, bodyMutation: {set: [{path: a, value: '1'}], remove: [a]}}]",
        )],
        "",
    ),
    ("cost by CEL", &[("type: TotalToken", "type: CEL, cel: input_tokens")], ""),
    (
        "cost twice",
        &[("type: TotalToken}", "type: TotalToken}, {metadataKey: tokens, type: InputToken}")],
        "",
    ),
    ("cost of no kind", &[("type: TotalToken", "type: TotalTokens")], ""),
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
    // Policies
    (
        "two budgets on one Gateway",
        &[],
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: demo}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]\n  rateLimit: {global: {rules: [{limit: {requests: 1, unit: Hour}}]}}",
    ),
    (
        "two buffer limits",
        &[],
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: more}\nspec:\n  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: edge}",
    ),
    (
        "policy for no route",
        &[("kind: Gateway, name: edge}]\n  rateLimit", "kind: HTTPRoute, name: chats}]\n  rateLimit")],
        "",
    ),
    (
        "policy for no rule",
        &[(
            "kind: Gateway, name: edge}]\n  rateLimit",
            "kind: HTTPRoute, name: chat, sectionName: rule-2}]\n  rateLimit",
        )],
        "",
    ),
    (
        "policy for a backend",
        &[("kind: Gateway, name: edge}]\n  rateLimit", "kind: Service, name: edge}]\n  rateLimit")],
        "",
    ),
    (
        "policy for nothing",
        &[(
            "  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]\n  rateLimit",
            "  rateLimit",
        )],
        "",
    ),
    (
        "fields that are not supported",
        &[(
            "  retry: {retryOn",
            "  faultInjection: {abort: {}}\n  mergeType: StrategicMerge\n  retry: {retryOn",
        )],
        "",
    ),
    ("limits of a type that are not there", &[("    global:\n", "    type: Local\n    global:\n")], ""),
    (
        "selector by address",
        &[("[{headers: [{name: x-user-id, type: Distinct}]}]", "[{sourceCIDR: {value: 10.0.0.0/8}}]")],
        "",
    ),
    ("selector by pattern", &[("type: Distinct", "type: RegularExpression, value: a.*, invert: true")], ""),
    ("selector without value", &[("type: Distinct", "type: Exact")], ""),
    ("cost key that no route has", &[("key: tokens}", "key: llm_total_token}")], ""),
    ("other metadata", &[("namespace: io.envoy.ai_gateway", "namespace: envoy.lb")], ""),
    ("request cost is missing", &[("            request: {from: Number, number: 0}\n", "")], ""),
    ("limit beyond", &[("requests: 100", "requests: 5000000000")], ""),
    ("trigger that does not exist", &[("triggers: [5xx]", "triggers: [5XX]")], ""),
    ("statuses without their trigger", &[("triggers: [5xx]", "triggers: [5xx], httpStatusCodes: [429]")], ""),
    ("no status", &[("triggers: [5xx]", "triggers: [retriable-status-codes], httpStatusCodes: [42]")], ""),
    ("buffer limit", &[("bufferLimit: 50Mi", "bufferLimit: plenty")], ""),
    ("small buffer limit", &[("bufferLimit: 50Mi", "bufferLimit: 32Ki")], ""),
    // Plain routes
    (
        "plain route",
        &[],
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\nspec:\n  parentRefs: [{name: edge}]\n  rules:\n  - filters: [{type: URLRewrite}]\n    matches: [{path: {value: app}}]\n    backendRefs: [{name: web}, {name: other, port: 80}, {kind: Backend, group: gateway.envoyproxy.io, name: openai}]",
    ),
    (
        "limits of a plain route alone",
        &[("kind: Gateway, name: edge}]\n  rateLimit", "kind: HTTPRoute, name: web}]\n  rateLimit")],
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\nspec:\n  parentRefs: [{name: edge}]\n  rules: [{backendRefs: [{kind: Backend, group: gateway.envoyproxy.io, name: openai-servers}]}]",
    ),
    (
        "plain route of an AI route's name",
        &[],
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: chat}\nspec:\n  parentRefs: [{name: edge}]\n  rules: [{backendRefs: [{kind: Backend, group: gateway.envoyproxy.io, name: openai-servers}]}]",
    ),
];
