// Runs .tflite files in this phone's browser and sends what they answer, and how long they take, to the computer that
// serves this page. Two parts in one file: the page, and a worker that it starts anew for each file, so that a file
// that crashes the runtime takes nothing else along and the page stays alive meanwhile.
//
// The runtime is @litertjs/core. Its public interface takes no int8, so the worker calls the classes of its WebAssembly
// module, which are not documented: the version is pinned, and the server refuses any other.
"use strict";

const LEAST_BATCH_MS = 5; // the clock of a page that is not isolated ticks at 0.1 ms
const AIMED_BATCH_MS = 20; // some browsers' clocks tick at 1 ms, and later runs may be faster than the first
const MOST_RUNS = 1e6;
const LEAST_BATCHES = 3;
const MOST_BATCHES = 500;
const SILENT_MS = 180000;
const TRIES = 3;
const LOOK_MS = 1000;
const PEN = 30; // of a pad of 256
const LOOKS = 4; // across a pixel

if (typeof document === "undefined") {
  let lastWords = ""; // what the runtime has printed last: it explains its errors there
  const hear = (text) => {
    if (/^(ERROR|FATAL|Aborted)/.test(text)) lastWords = text;
  };
  let running = null; // for a drawing pad, the file that is kept
  self.onmessage = async ({ data: job }) => {
    try {
      if (job.pixels) {
        const answer = await running.run(job.pixels);
        self.postMessage({ answer }, [answer.buffer]);
      } else if (job.isPad) {
        running = await prepare(job, hear);
        self.postMessage({ result: {} });
      } else {
        const result = await measure(job, hear);
        self.postMessage({ result }, result.answers ? [result.answers.buffer] : []);
      }
    } catch (error) {
      self.postMessage({ error: [sayError(error), lastWords].filter(Boolean).join(" ") });
    }
  };
} else {
  document.getElementById("again").addEventListener("click", () => location.reload());
  main();
}

function sayError(error) {
  return String((error && error.message) || error);
}

// ------------------------------------------------------------------------------------------------------------- page

async function main() {
  keepAwake();
  try {
    let { plan, pad } = await measureAll();
    while (plan.stays) {
      await untilOtherFiles(plan);
      document.getElementById("results").replaceChildren();
      ({ plan } = await measureAll());
    }
    if (pad) openPad(pad);
  } catch (error) {
    say(sayError(error));
  }
  document.getElementById("again").hidden = false;
}

async function untilOtherFiles({ round }) {
  say("Waiting for files ...");
  do {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  } while ((await askRound()) === round);
}

async function askRound() {
  return (await (await ask(`round?phone=${phoneName()}`)).json()).round;
}

async function measureAll() {
  const phone = phoneName();
  const plan = await (await ask(`plan?phone=${phone}`)).json();
  const heart = setInterval(() => fetch(`alive?phone=${phone}`).catch(() => {}), 1000 * plan.alive);
  try {
    const build = chooseBuild(plan.threads);
    say("Loading LiteRT ...");
    const module = await loadModule(`${build.name}.wasm`, plan);
    const jobs = await listJobs(plan);
    let [wrong, pad] = [0, null];
    for (const [done, { index, engine }] of jobs.entries()) {
      const file = plan.files[index];
      const step = (part) => showProgress((done + part) / jobs.length);
      say(`Running ${file.name} (${done + 1} of ${jobs.length}) ...`);
      step(0);
      const threads = engine === "WebGPU" ? 1 : build.threads;
      const job = { file, index, engine, threads, module, seconds: plan.seconds, loader: `runtime/${build.name}.js` };
      const { answers, ...numbers } = await runInWorker(job, step);
      const left = jobs.length - done - 1;
      if (!left && !plan.stays) pad = await loadPad(plan).catch(() => null); // the computer may go with the last result
      const message = { phone, turn: plan.turn, file: index, engine, threads, left, ...numbers };
      const outcome = await send(message, answers);
      wrong += outcome.agrees ? 0 : 1;
      show(file, outcome);
    }
    showProgress(1);
    say(wrong ? `Done: ${wrong} of ${jobs.length} went wrong.` : "Done. The computer has the results.");
    return { plan, pad };
  } catch (error) {
    if (!plan.stays || (await askRound()) === plan.round) throw error;
    return { plan }; // other files were given meanwhile
  } finally {
    clearInterval(heart);
  }
}

function phoneName() {
  const fresh = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"));
  try {
    const kept = sessionStorage.getItem("phone"); // a page that is loaded anew is the same phone
    const name = kept || fresh.join("");
    sessionStorage.setItem("phone", name);
    return name;
  } catch {
    return fresh.join(""); // storage is switched off
  }
}

async function ask(path, options) {
  for (let tries = 1; ; tries++) {
    let answer = null;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (options && options.integrity) throw new Error(`${path} did not arrive as it should be: ${sayError(error)}`);
      if (tries === TRIES) throw new Error("The computer does not answer. Is the command still running there?");
    }
    if (answer && answer.ok) return answer;
    if (answer && (answer.status !== 503 || tries === TRIES)) throw new Error(await answer.text());
    await new Promise((resolve) => setTimeout(resolve, 1000 * tries));
  }
}

function chooseBuild(threads) {
  // (func (result v128) i32.const 1 i8x16.splat i32.const 2 i8x16.splat i8x16.relaxed_swizzle)
  const relaxed = WebAssembly.validate(new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0,
    10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
  ]));
  if (!relaxed) return { name: "litert_wasm_compat_internal", threads: 1 };
  const most = self.crossOriginIsolated ? navigator.hardwareConcurrency || 1 : 1; // it would wait forever for more
  if (Math.min(threads, most) > 1) return { name: "litert_wasm_threaded_internal", threads: Math.min(threads, most) };
  return { name: "litert_wasm_internal", threads: 1 };
}

async function loadModule(name, plan) {
  const answer = await ask(`runtime/${name}`, { integrity: plan.integrity[name] });
  return WebAssembly.compile(await answer.arrayBuffer());
}

async function listJobs(plan) {
  const adapter = navigator.gpu ? await navigator.gpu.requestAdapter().catch(() => null) : null;
  const jobs = [];
  for (const [index, file] of plan.files.entries()) {
    jobs.push({ index, engine: "WebAssembly" });
    if (adapter && file.gpu) jobs.push({ index, engine: "WebGPU" });
  }
  return jobs;
}

async function runInWorker(job, step) {
  const worker = new Worker("page.js");
  const result = await giveWorker(worker, job, step);
  worker.terminate();
  return result;
}

function giveWorker(worker, job, step) {
  return new Promise((resolve) => {
    let silence = 0;
    const end = (result) => {
      clearTimeout(silence);
      resolve(result);
    };
    const wait = () => {
      clearTimeout(silence);
      silence = setTimeout(() => end({ runs: 1, error: "It did not answer for three minutes." }), SILENT_MS);
    };
    worker.onerror = (event) => end({ runs: 1, error: event.message || "The script could not be started." });
    worker.onmessage = ({ data }) => {
      wait();
      if ("part" in data) step(data.part);
      else end(data.result || { runs: 1, error: data.error });
    };
    wait();
    worker.postMessage(job);
  });
}

async function send(message, answers) {
  const json = new TextEncoder().encode(JSON.stringify(message));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, json.length, true);
  const body = new Blob(answers ? [length.buffer, json, answers] : [length.buffer, json]);
  return (await ask("report", { method: "POST", body })).json();
}

function say(text) {
  document.getElementById("status").textContent = text;
}

function showProgress(share) {
  document.getElementById("progress").value = share;
}

function show(file, outcome) {
  const add = (parent, kind, text) => {
    const element = parent.appendChild(document.createElement(kind));
    element.textContent = text;
    return element;
  };
  const card = document.createElement("li");
  add(card, "h2", file.name);
  const verdict = add(card, "p", outcome.verdict);
  const kind = outcome.verdict === "not run" ? "none" : outcome.agrees ? "good" : "bad";
  verdict.className = `verdict ${kind}`;
  const list = card.appendChild(document.createElement("dl"));
  for (const [label, value] of outcome.rows) {
    add(list, "dt", label);
    add(list, "dd", value);
  }
  document.getElementById("results").append(card);
}

function keepAwake() {
  if (navigator.wakeLock) navigator.wakeLock.request("screen").catch(() => {});
}

// -------------------------------------------------------------------------------------------------------------- pad

// Loads the first file that reads digits, one of integers before others, into a worker that keeps it.
async function loadPad(plan) {
  const index = plan.files.reduce((best, { pad, precision }, index) => {
    const isBetter = best < 0 || (precision === "int8" && plan.files[best].precision !== "int8");
    return pad && isBetter ? index : best;
  }, -1);
  if (index < 0) return null;
  const file = plan.files[index];
  const build = chooseBuild(1);
  const module = await loadModule(`${build.name}.wasm`, plan);
  const worker = new Worker("page.js");
  const job = { file, index, engine: "WebAssembly", threads: 1, module, loader: `runtime/${build.name}.js`, isPad: true };
  const { error } = await giveWorker(worker, job, () => {});
  if (!error) return { worker, file };
  worker.terminate();
  return null;
}

function openPad({ worker, file }) {
  const read = document.getElementById("read");
  worker.onmessage = ({ data }) => {
    read.textContent = data.error || `${file.name} reads ${mostLikely(data.answer, file.pad.output)}.`;
  };
  const canvas = document.getElementById("ink");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  Object.assign(pen, { lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: getComputedStyle(canvas).color });
  const place = ({ offsetX, offsetY }) => [offsetX, offsetY].map((at) => (at * canvas.width) / canvas.clientWidth);
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pen.beginPath();
    pen.moveTo(...place(event));
    pen.lineTo(...place(event)); // a dot
    pen.stroke();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return; // pressed elsewhere, or not at all
    pen.lineTo(...place(event));
    pen.stroke();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    const pixels = pixelsOf(pen.getImageData(0, 0, canvas.width, canvas.height), file.pad.side);
    worker.postMessage({ pixels: stored(pixels.map((ink) => ink * file.pad.full), file.pad.input) });
  });
  document.getElementById("clear").addEventListener("click", () => {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    read.textContent = "";
  });
  document.getElementById("pad").hidden = false;
}

// The share of ink in each pixel of a small image, as the collections of digits have them: the drawing fills 8 of 8
// pixels (Alpaydin and Kaynak 1998), or 20 of 28 with its centre of mass in the middle (MNIST).
function pixelsOf({ data, width, height }, side) {
  const isInk = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[4 * (y * width + x) + 3] > 127;
  let [left, top, right, bottom, sumX, sumY, count] = [width, height, -1, -1, 0, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!isInk(x, y)) continue;
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
      [sumX, sumY, count] = [sumX + x, sumY + y, count + 1];
    }
  }
  const inner = side === 28 ? 20 : side;
  const step = Math.max(right - left + 1, bottom - top + 1) / inner;
  const middle = side === 28 ? [sumX / count, sumY / count] : [(left + right) / 2, (top + bottom) / 2];
  const [startX, startY] = middle.map((at) => at + 0.5 - (step * side) / 2);
  return Array.from({ length: side * side }, (_, pixel) => {
    let ink = 0;
    for (let look = 0; look < LOOKS * LOOKS; look++) {
      const x = startX + ((pixel % side) + ((look % LOOKS) + 0.5) / LOOKS) * step;
      const y = startY + (Math.floor(pixel / side) + (Math.floor(look / LOOKS) + 0.5) / LOOKS) * step;
      ink += isInk(Math.floor(x), Math.floor(y)) ? 1 : 0;
    }
    return ink / LOOKS ** 2;
  });
}

const KINDS = { float32: Float32Array, int8: Int8Array, uint8: Uint8Array };

function stored(values, { dtype, scale, zero_point: zeroPoint }) {
  const [least, most] = dtype === "int8" ? [-128, 127] : [0, 255];
  const round = (value) => Math.max(least, Math.min(most, Math.round(value / scale) + zeroPoint));
  return new Uint8Array(KINDS[dtype].from(scale ? values.map(round) : values).buffer);
}

function mostLikely(bytes, { dtype }) {
  const scores = new KINDS[dtype](bytes.buffer);
  return scores.indexOf(Math.max(...scores));
}

// ----------------------------------------------------------------------------------------------------------- worker

async function measure(job, hear) {
  const { file } = job;
  const inputs = await download(`inputs/${job.index}`);
  const { compiled, buffers, device, run, answerSize } = await prepare(job, hear);
  if (!compiled) return { runs: 1, skipped: "WebGPU lacks some of its operations." };
  const answers = new Uint8Array(file.samples * answerSize);
  const size = inputs.length / file.samples;
  let firstMs = 0;
  for (let sample = 0; sample < file.samples; sample++) {
    answers.set(await run(inputs.subarray(sample * size, (sample + 1) * size), (ms) => {
      if (sample === 0) firstMs = ms;
    }), sample * answerSize);
    if (sample % 8 === 0) self.postMessage({ part: (0.5 * sample) / file.samples });
  }
  const { runs, batches } = await timeBatches(compiled, buffers, device, job.seconds);
  return { answers, first_ms: firstMs, runs, batches };
}

// Loads a file, and returns how to run it on the bytes of one sample; nothing where WebGPU does not run all of it.
async function prepare(job, hear) {
  const { file } = job;
  const content = await download(`file/${job.index}`);
  const device = job.engine === "WebGPU" ? await openDevice() : null;
  const runtime = await startRuntime(job, hear);
  const environment = runtime.LiteRtEnvironment.create(device);
  const model = await load(runtime, environment, content);
  const compiled = await compile(runtime, environment, model, job);
  if (device && !compiled.isFullyAccelerated()) return {};
  const signature = model.getSignature(0);
  const order = (names, described) => places(listOf(names), described.map(({ name }) => name));
  const inputOrder = order(signature.inputNames(), file.inputs);
  const outputOrder = order(signature.outputNames(), file.outputs);
  signature.delete();
  const tensors = inputOrder.map((place, index) => {
    const type = model.getInputTensorType(0, index);
    const tensor = makeTensor(runtime, environment, device, type, file.inputs[place]);
    type.delete();
    return tensor;
  });
  const buffers = tensors.map(({ buffer }) => buffer);
  const answerSize = file.outputs.reduce((sum, { bytes }) => sum + bytes, 0);
  const offsets = startsOf(file.inputs);
  const run = async (sample, took = () => {}) => {
    for (const [index, place] of inputOrder.entries()) {
      tensors[index].write(sample.subarray(offsets[place], offsets[place] + file.inputs[place].bytes));
    }
    const start = performance.now();
    const outputs = await compiled.run(0, buffers);
    if (device) await device.queue.onSubmittedWorkDone();
    took(performance.now() - start);
    const answer = new Uint8Array(answerSize);
    await readAnswers(runtime, device, outputs, outputOrder, file.outputs, answer);
    return answer;
  };
  return { compiled, buffers, device, run, answerSize };
}

async function download(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function openDevice() {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage, maxTextureDimension2D } =
    adapter.limits;
  return adapter.requestDevice({
    requiredFeatures: ["shader-f16", "subgroups"].filter((feature) => adapter.features.has(feature)),
    requiredLimits: {
      maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage, maxTextureDimension2D,
    },
  });
}

async function startRuntime(job, hear) {
  importScripts(job.loader);
  const runtime = await self.ModuleFactory({
    mainScriptUrlOrBlob: new URL(job.loader, self.location.href).href, // what its own threads start with
    print: hear,
    printErr: hear,
    instantiateWasm: (imports, use) => {
      WebAssembly.instantiate(job.module, imports).then((instance) => use(instance, job.module));
      return {};
    },
  });
  runtime.setupLogging();
  return runtime;
}

async function load(runtime, environment, content) {
  const place = runtime._malloc(content.length);
  runtime.HEAPU8.set(content, place); // its memory may have moved: never keep HEAPU8
  return runtime.loadModel(environment, place, content.length);
}

async function compile(runtime, environment, model, { engine, threads }) {
  return runtime.compileModel(environment, model, {
    environment,
    accelerator: engine === "WebGPU" ? "webgpu" : "wasm",
    cpuOptions: { numThreads: threads },
    gpuOptions: { precision: "fp32" },
    webNNOptions: {},
  });
}

function listOf(vector) {
  const list = Array.from({ length: vector.size() }, (_, index) => vector.get(index));
  vector.delete();
  return list;
}

// For each tensor of the runtime, its place in the plan: by name, or by order where the runtime has other names.
function places(names, planned) {
  if (names.length !== planned.length) throw new Error(`Expected ${planned.length} tensors, found ${names.length}.`);
  const found = names.map((name) => planned.indexOf(name));
  return found.includes(-1) ? names.map((_, index) => index) : found;
}

function startsOf(described) {
  let start = 0;
  return described.map(({ bytes }) => (start += bytes) - bytes);
}

function makeTensor(runtime, environment, device, type, { name, bytes }) {
  if (type.bytes() !== bytes) throw new Error(`The input ${name} has ${type.bytes()} bytes, expected ${bytes}.`);
  if (device) return makeTensorOnGpu(runtime, environment, device, type, bytes);
  const kind = runtime.LiteRtTensorBufferType.HOST_MEMORY;
  const buffer = runtime.LiteRtTensorBuffer.createManaged(environment, kind, type, bytes);
  const write = (values) => {
    const place = buffer.lock(runtime.LiteRtTensorBufferLockMode.WRITE);
    runtime.HEAPU8.set(values, place);
    buffer.unlock();
  };
  return { buffer, write };
}

function makeTensorOnGpu(runtime, environment, device, type, bytes) {
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST | GPUBufferUsage.STORAGE;
  const memory = device.createBuffer({ size: Math.ceil(bytes / 4) * 4, usage });
  const kind = runtime.LiteRtTensorBufferType.WEB_GPU_BUFFER_PACKED;
  const handle = runtime.WebGPU.importJsBuffer(memory);
  const buffer = runtime.LiteRtTensorBuffer.createFromWebGpuBuffer(environment, type, kind, handle, memory.size);
  return { buffer, write: (values) => device.queue.writeBuffer(memory, 0, values) };
}

async function readAnswers(runtime, device, outputs, order, described, into) {
  const starts = startsOf(described);
  for (const [index, output] of outputs.entries()) {
    const { name, bytes } = described[order[index]];
    const values = device ? await readFromGpu(runtime, device, output) : readFromMemory(runtime, output);
    output.delete();
    if (values.length < bytes) throw new Error(`The output ${name} has ${values.length} bytes, expected ${bytes}.`);
    into.set(values.subarray(0, bytes), starts[order[index]]);
  }
}

function readFromMemory(runtime, output) {
  const place = output.lock(runtime.LiteRtTensorBufferLockMode.READ);
  const values = runtime.HEAPU8.slice(place, place + output.packedSize());
  output.unlock();
  return values;
}

async function readFromGpu(runtime, device, output) {
  const memory = runtime.WebGPU.getJsObject(output.getWebGpuBuffer());
  const copy = device.createBuffer({ size: memory.size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const commands = device.createCommandEncoder();
  commands.copyBufferToBuffer(memory, 0, copy, 0, memory.size);
  device.queue.submit([commands.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const values = new Uint8Array(copy.getMappedRange()).slice(output.offset(), output.offset() + output.packedSize());
  copy.destroy();
  return values;
}

async function timeBatches(compiled, buffers, device, seconds) {
  let runs = 1;
  for (;;) {
    const took = await timeBatch(compiled, buffers, device, runs);
    if (took >= AIMED_BATCH_MS || runs >= MOST_RUNS) break;
    runs = Math.min(MOST_RUNS, 10 * runs, Math.max(runs + 1, Math.ceil((runs * 1.2 * AIMED_BATCH_MS) / Math.max(took, 0.1))));
  }
  const batches = [];
  const end = performance.now() + 1000 * seconds;
  while (batches.length < LEAST_BATCHES || (performance.now() < end && batches.length < MOST_BATCHES)) {
    const took = await timeBatch(compiled, buffers, device, runs);
    if (took >= LEAST_BATCH_MS || runs === MOST_RUNS) {
      batches.push(took);
    } else { // it has become faster than it was when the number was found
      runs = Math.min(MOST_RUNS, 2 * runs);
      batches.length = 0;
    }
    self.postMessage({ part: 1 - Math.max(0, end - performance.now()) / (2000 * seconds) });
  }
  return { runs, batches };
}

async function timeBatch(compiled, buffers, device, runs) {
  const start = performance.now();
  for (let run = 0; run < runs; run++) {
    let outputs = compiled.run(0, buffers);
    if (!Array.isArray(outputs)) outputs = await outputs;
    for (const output of outputs) output.delete();
  }
  if (device) await device.queue.onSubmittedWorkDone();
  return performance.now() - start;
}
