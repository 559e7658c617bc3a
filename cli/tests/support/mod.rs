//! What the tests on a real Envoy share.

use std::path::PathBuf;

/// `$ENVOY`. Without it the tests are left out, but not where they must run.
pub(crate) fn envoy() -> Option<PathBuf> {
    let envoy = std::env::var_os("ENVOY").map(PathBuf::from);
    assert!(envoy.is_some() || std::env::var_os("CI").is_none(), "$ENVOY must name an Envoy");
    envoy
}

/// The smallest module that Envoy takes for a filter: memory, an allocator that always gives the same place, the version of the ABI.
pub(crate) fn module_that_does_nothing() -> Vec<u8> {
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
