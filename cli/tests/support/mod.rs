//! What the tests on a real Envoy share.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir_cli::render::{Filter, Form};

/// What Envoy calls in a dynamic module with an HTTP filter, after `envoy_dynamic_module_on_http_filter_`.
const HOOKS: [&str; 18] = [
    "config_destroy",
    "destroy",
    "request_headers",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
    "stream_complete",
    "http_callout_done",
    "http_stream_headers",
    "http_stream_data",
    "http_stream_trailers",
    "http_stream_complete",
    "http_stream_reset",
    "scheduled",
    "downstream_above_write_buffer_high_watermark",
    "downstream_below_write_buffer_low_watermark",
];

/// A filter that Envoy takes in all roles, and that lets everything pass.
pub(crate) fn filter_that_does_nothing(form: Form, dir: &Path) -> Filter {
    let file = dir.join(form.file_name());
    match form {
        Form::Wasm => std::fs::write(&file, wasm_that_does_nothing()).unwrap(),
        Form::Module => build_module_that_does_nothing(&file),
    }
    Filter { form, file }
}

/// A dynamic module, by the C compiler that Rust links with, too. It knows the names of the roles and says on standard
/// error which one is configured, where `$WEIR_TEST_SAY` is set.
fn build_module_that_does_nothing(file: &Path) {
    let mut source = r#"
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        typedef struct { const char *start; size_t length; } text;
        static int is(text a, const char *b) { return a.length == strlen(b) && !memcmp(a.start, b, a.length); }
        const char *envoy_dynamic_module_on_program_init(void) { return "v0.2.0"; }
        const void *envoy_dynamic_module_on_http_filter_config_new(void *envoy, text name, text configuration) {
            if (!is(name, "edge") && !is(name, "backend") && !is(name, "admin")) return NULL;
            if (configuration.length == 0 || configuration.start[0] != '{') return NULL;
            if (getenv("WEIR_TEST_SAY")) fprintf(stderr, "configured: %.*s\n", (int)name.length, name.start);
            return "configuration";
        }
        const void *envoy_dynamic_module_on_http_filter_new(const void *configuration, void *envoy) { return "filter"; }
    "#
    .to_owned();
    for hook in HOOKS {
        let _ = writeln!(source, "int envoy_dynamic_module_on_http_filter_{hook}(void) {{ return 0; }}");
    }
    let code = file.with_extension("c");
    std::fs::write(&code, source).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(file).arg(&code).status().unwrap();
    assert!(compiled.success());
}

/// `$ENVOY`. Without it the tests are left out, but not where they must run.
pub(crate) fn envoy() -> Option<PathBuf> {
    let envoy = std::env::var_os("ENVOY").map(PathBuf::from);
    assert!(envoy.is_some() || std::env::var_os("CI").is_none(), "$ENVOY must name an Envoy");
    envoy
}

/// The smallest WebAssembly that Envoy takes for a filter: memory, an allocator that always gives the same place, the
/// version of the ABI.
fn wasm_that_does_nothing() -> Vec<u8> {
    let export = |name: &str, kind: u8, index: u8| {
        let mut export = vec![u8::try_from(name.len()).unwrap()];
        export.extend(name.as_bytes());
        export.extend([kind, index]);
        export
    };
    let section = |id: u8, content: Vec<u8>| {
        let mut section = vec![id, u8::try_from(content.len()).unwrap()];
        section.extend(content);
        section
    };
    let mut exports = vec![4];
    exports.extend(export("memory", 2, 0));
    exports.extend(export("_initialize", 0, 0));
    exports.extend(export("proxy_abi_version_0_2_1", 0, 0));
    exports.extend(export("proxy_on_memory_allocate", 0, 1));
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    // Types: () -> (), (i32) -> i32. One function of each; 32 pages of memory.
    module.extend(section(1, vec![2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f]));
    module.extend(section(3, vec![2, 0, 1]));
    module.extend(section(5, vec![1, 0, 32]));
    module.extend(section(7, exports));
    // Bodies: end; i32.const 1024, end.
    module.extend(section(10, vec![2, 2, 0, 0x0b, 5, 0, 0x41, 0x80, 0x08, 0x0b]));
    module
}
