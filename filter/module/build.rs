//! Tells the linker where the unwinder comes from.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The standard library asks for libgcc_s.so.1, which minimal images of Envoy do not have. The static
    // archive that comes with gcc stands before that on the linker's command line and answers all of it, so
    // that `--as-needed`, which rustc sets, drops the shared library. The price: since gcc 12 the archive
    // uses `_dl_find_object`, and so needs glibc 2.35.
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    if of("CARGO_CFG_TARGET_OS") == "linux" && of("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo::rustc-link-lib=dylib=gcc_eh");
    }
}
