// The page: what the server says goes to the parts, what a person does goes to the server.

import { Connection, socketAddress } from "./connection.js";
import { Controls } from "./controls.js";
import { byId, make, write } from "./dom.js";
import { Figures } from "./figures.js";
import { clock, count, rate, span } from "./format.js";
import { Keys } from "./keys.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { Sightings } from "./sightings.js";
import { SnapshotDialog } from "./snapshot.js";
import { StateView } from "./state.js";
import { Timeline } from "./timeline.js";
import { toast } from "./toasts.js";

const connection = new Connection(socketAddress());
const picture = new Picture(byId("picture"), connection, byId("inset"));
const figures = new Figures(picture);
const state = new StateView();
const sightings = new Sightings();
const timeline = new Timeline();
const player = new Player(sightings, timeline);
const dialog = new SnapshotDialog(sightings);
const controls = new Controls((message) => connection.send(message));
let hello = null;
picture.isLive = () => state.isPresent(picture.shownAt);

const takers = {
  hello: greet,
  state: takeState,
  controls: (message) => controls.take(message),
  sighting: takeSighting,
  notice: ({ level, text }) => toast(level, text),
  ended: end,
};

connection.addEventListener("message", ({ detail }) => takers[detail.type]?.(detail));
connection.addEventListener("frame", ({ detail }) => picture.show(detail));
connection.addEventListener("open", () => (state.reason = ""));
connection.addEventListener("lost", ({ detail }) => lose(detail));
connection.addEventListener("wait", ({ detail }) => (state.wait = detail));
sightings.addEventListener("change", ({ detail }) => timeline.take(detail));
sightings.addEventListener("open", ({ detail }) => dialog.open(detail));
timeline.addEventListener("choose", ({ detail }) => choose(detail));
dialog.addEventListener("jump", ({ detail }) => player.show(detail));
dialog.canJump = (sighting) => player.isOpen && player.has(sighting);
player.onfail = () => {
  if (state.connection !== "open") return; // the page says that the server is gone
  toast("error", "The recording cannot be played in this browser; save it and play it elsewhere");
};
byId("retry").addEventListener("click", () => connection.retry());
byId("ask").addEventListener("click", () => keys.help());
byId("wall").addEventListener("click", switchWall);
byId("full").addEventListener("click", switchFullScreen);
setInterval(refresh, 250);
controls.enable(false);

function greet(message) {
  hello = message;
  state.connection = "open";
  state.reset();
  document.body.dataset.mode = "live";
  player.close();
  byId("inset").hidden = false;
  byId("summary").hidden = true;
  byId("controls").hidden = false;
  picture.reset(message.frame?.width, message.frame?.height);
  figures.reset();
  timeline.reset(message.duration, message.history ?? []);
  sightings.reset(message.sightings ?? []);
  controls.limit(message.limits);
  controls.take(message.controls ?? {});
  controls.enable(true);
  byId("origin").replaceChildren(make("span", {}, `${nameOf(message.source ?? "")} · `), origin(message));
  write(byId("source"), nameOf(message.source ?? ""));
  byId("source").title = message.source ?? "";
}

/** The name of a file without its folders, of anything else the whole. */
const nameOf = (source) => (source.includes("://") ? source : source.split(/[/\\]/).filter(Boolean).at(-1) ?? source);

function origin({ frame, fps, engine, version }) {
  const size = frame?.width ? `${frame.width}×${frame.height}` : "";
  const pace = fps ? `${Number(fps.toFixed(2))} frames/s` : "";
  const runs = engine ? [engine.backend, engine.device, engine.precision].filter(Boolean).join(" ") : "";
  return [size, pace, runs, `rt-seg ${version}`].filter(Boolean).join(" · ");
}

function takeState(message) {
  state.take(message);
  if (!player.isOpen) {
    timeline.advance(message.time, state.state.state, message.message);
    write(byId("clock"), clock(message.time));
  }
  figures.show(message);
  write(byId("viewers"), message.clients > 1 ? `shared by ${message.clients} viewers` : "");
  refresh();
}

function showMarked() {
  const marked = state.isPresent(picture.shownAt) && state.state?.polyps > 0;
  byId("marked").hidden = !marked;
  if (marked) write(byId("marked"), `${state.state.polyps} marked`);
}

function takeSighting(message) {
  const isNew = sightings.take(message);
  if (isNew) write(byId("said"), `Sighting ${message.id} at ${clock(message.first_seconds)}`);
}

/** A mark of the timeline was chosen. */
function choose(id) {
  if (dialog.canJump(sightings.get(id))) player.show(sightings.get(id));
  else dialog.open(id);
}

function end(message) {
  sightings.endAll();
  document.body.dataset.mode = "ended";
  controls.enable(false);
  byId("controls").hidden = true;
  byId("summary").hidden = false;
  const parts = message.recordings.length;
  const lines = [
    ["Duration", clock(message.duration)],
    ["Frames", count(message.frames?.in ?? state.state?.frames?.in)],
    ["Frames/s", rate(message.fps ?? state.state?.fps)],
    ["Sightings", count(sightings.inOrder.length)],
    ["Recording", !parts ? "none" : message.kept ? `kept, ${parts === 1 ? "1 file" : `${parts} files`}` : "until rt-seg ends"],
    ...(message.error ? [["Error", message.error]] : []),
  ];
  byId("summary-list").replaceChildren(...lines.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  byId("downloads").replaceChildren(...message.recordings.map((part, number) => download(part, number, parts)));
  if (!parts) return;
  byId("inset").hidden = true;
  player.open(message.recordings, message.duration ?? 0, hello?.fps);
}

function download({ address, offset, duration }, number, parts) {
  const words = parts === 1 ? "Save recording" : `Save part ${number + 1}, ${span(offset, offset + duration)}`;
  return make("a", { className: "button", href: address, download: "" }, words);
}

function lose(reason) {
  state.connection = "lost";
  state.reason = reason;
  controls.enable(false);
  player.enable(false);
  byId("downloads").replaceChildren(); // there is nobody to give it
  refresh();
}

function refresh() {
  state.show(picture, player.isOpen);
  sightings.seeing = state.isSeeing(picture.shownAt);
  showMarked();
}

function switchWall() {
  const on = document.body.toggleAttribute("data-wall");
  byId("wall").setAttribute("aria-pressed", String(on));
}

function switchFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => toast("info", "This browser refuses full screen"));
}

/** Open the newest sighting, or the one before it. */
const openNewest = () => {
  const newest = sightings.inOrder.at(-1);
  if (newest) dialog.open(newest.id);
};

const live = () => state.connection === "open" && document.body.dataset.mode === "live";
const playing = () => player.isOpen;

const keys = new Keys([
  { keys: ["o"], shown: ["o"], text: "next overlay: contour, fill, heat, none", when: live, act: () => controls.next("overlay") },
  { keys: ["+", "=", "-"], shown: ["+", "-"], text: "threshold", when: live, act: (key) => controls.step("threshold", key === "-" ? -1 : 1) },
  { keys: ["[", "]"], shown: ["[", "]"], text: "opacity of fill and heat", when: live, act: (key) => controls.step("alpha", key === "[" ? -1 : 1) },
  { keys: ["t"], shown: ["t"], text: "how steady masks are held", when: live, act: () => controls.next("stabilise") },
  { keys: ["m"], shown: ["m"], text: "after how many frames to mark", when: live, act: () => controls.next("min_frames") },
  { keys: ["h"], shown: ["h"], text: "HUD in the picture", when: live, act: () => controls.toggle("hud") },
  { keys: ["s"], shown: ["s"], text: "snapshot", when: live, act: () => controls.snapshot() },
  { keys: ["r"], shown: ["r"], text: "record", when: live, act: () => controls.toggle("recording") },
  { keys: [" "], shown: ["space"], text: "pause, play", when: live, act: () => controls.toggle("paused") },
  { keys: [" "], shown: [], text: "", when: playing, act: () => player.toggle() },
  { keys: ["v"], shown: ["v"], text: "view the newest sighting", act: openNewest },
  { keys: ["n", "p"], shown: ["n", "p"], text: "recording: next, previous sighting", when: playing, act: (key) => player.jump(key === "n" ? 1 : -1) },
  { keys: ["ArrowLeft", "ArrowRight"], shown: ["←", "→"], text: "recording: 5 seconds; snapshots: the one beside", when: playing, act: (key) => player.move(key === "ArrowLeft" ? -5 : 5) },
  { keys: [",", "."], shown: [",", "."], text: "recording: one frame", when: playing, act: (key) => player.stepFrames(key === "," ? -1 : 1) },
  { keys: ["Home", "End"], shown: ["Home", "End"], text: "recording: beginning, end", when: playing, act: (key) => player.seek(key === "Home" ? 0 : player.end) },
  { keys: ["w"], shown: ["w"], text: "picture only", act: switchWall },
  { keys: ["f"], shown: ["f"], text: "full screen", act: switchFullScreen },
  { keys: ["?", "/"], shown: ["?"], text: "this page", act: () => keys.help() },
  { keys: ["Escape"], shown: ["Esc"], text: "close; back from picture only", when: () => document.body.hasAttribute("data-wall"), act: switchWall },
]);
