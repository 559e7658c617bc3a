//! The platform by Node.

use getrandom as _;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

#[wasm_bindgen(module = "node:fs")]
extern "C" {
    #[wasm_bindgen(js_name = readFileSync, catch)]
    fn read_file(path: &str) -> Result<Vec<u8>, JsValue>;

    #[wasm_bindgen(js_name = readdirSync, catch)]
    fn read_folder(path: &str) -> Result<Vec<String>, JsValue>;
}

#[wasm_bindgen(module = "node:child_process")]
extern "C" {
    #[wasm_bindgen(js_name = execFileSync, catch)]
    fn execute(program: &str, arguments: Vec<String>, options: &JsValue) -> Result<Vec<u8>, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = JSON, js_name = parse)]
    fn json(text: &str) -> JsValue;
}

pub(crate) fn read(path: &str) -> Option<Vec<u8>> {
    read_file(path).ok()
}

pub(crate) fn list(folder: &str) -> Option<Vec<String>> {
    read_folder(folder).ok()
}

pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let arguments = arguments.iter().map(ToString::to_string).collect();
    // Node's own bound is 1 MiB.
    execute(program, arguments, &json(r#"{"maxBuffer":67108864}"#)).ok()
}
