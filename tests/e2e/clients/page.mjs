// Looks at the gateway's page as a person does, in Chromium, and prints what there is to see as JSON.
import { chromium } from "playwright-core";

const { WEIR_PAGE: address, WEIR_CHROMIUM: executablePath, WEIR_SHOT: shot } = process.env;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
const complaints = [];
const asked = new Set();
page.on("console", message => message.type() === "error" && complaints.push(message.text()));
page.on("pageerror", error => complaints.push(String(error)));
page.on("request", request => asked.add(new URL(request.url()).origin));
await page.goto(address);
await page.waitForFunction(() => document.getElementById("state").textContent.startsWith("as of"));

const cells = id => page.$$eval(`#${id} tbody tr`, rows => rows.map(row => [...row.cells].map(cell => cell.textContent)));
const tables = {};
for (const id of ["backends", "usage", "costs", "errors", "routes"]) tables[id] = await cells(id);
const tiles = await page.$$eval(".tile", tiles => tiles.map(tile => [...tile.children].slice(0, 2).map(part => part.textContent)));

// By the keyboard alone: a filter, then the order of the users, turned round.
await page.focus("#filter");
await page.keyboard.type("NOBODY'S NAME");
const filtered = await cells("usage");
await page.fill("#filter", "");
await page.keyboard.press("Tab");
await page.keyboard.press("Tab");
const users = async () => (await cells("usage")).map(([user]) => user);
await page.keyboard.press("Enter");
const falling = await users();
await page.keyboard.press("Enter");
const rising = await users();

// WCAG's contrast of every text with what is behind it, in both schemes.
const contrasts = () => page.evaluate(() => {
  const parse = color => color.match(/[\d.]+/g).map(Number);
  const light = color => parse(color).slice(0, 3).map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parse(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  let least = Infinity;
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()) || element.closest("script, style")) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
});
const contrast = {};
for (const colorScheme of ["light", "dark"]) {
  await page.emulateMedia({ colorScheme });
  contrast[colorScheme] = await contrasts();
  if (shot) await page.screenshot({ path: `${shot}-${colorScheme}.png`, fullPage: true });
}
await page.setViewportSize({ width: 400, height: 800 });
const width = await page.evaluate(() => document.documentElement.scrollWidth);
if (shot) await page.screenshot({ path: `${shot}-narrow.png`, fullPage: true });
await browser.close();
console.log(JSON.stringify({ tables, tiles, filtered, falling, rising, contrast, width, complaints, asked: [...asked] }));
