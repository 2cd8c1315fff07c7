// A web service and a client of Node.js, with the laboratory's delays.
//
//   node lab.js serve JOB.json    node lab.js use JOB.json
//
// The client writes JSON: the time to the first byte of each answer, in ns.

"use strict";

const fs = require("fs");
const http = require("http");
const http2 = require("http2");
const https = require("https");

const job = JSON.parse(fs.readFileSync(process.argv[3]));
const versions = job.tls && { minVersion: `TLSv${job.tls}`, maxVersion: `TLSv${job.tls}` };

let number = 0;

function answer(request, response) {
  const late = number++ % job.slow_every === job.slow_every - 1 ? job.slow_ms : job.fast_ms;
  setTimeout(() => {
    response.writeHead(200, { "content-type": "text/plain" });
    response.end("hello\n");
  }, late);
}

function serve() {
  const options = job.tls
    ? { ...versions, cert: fs.readFileSync(job.certificate), key: fs.readFileSync(job.key) }
    : {};
  const server = job.http2
    ? job.tls ? http2.createSecureServer(options, answer) : http2.createServer(answer)
    : job.tls ? https.createServer(options, answer) : http.createServer(answer);
  server.keepAliveTimeout = 60000;
  server.listen(job.port, job.address, 512);
}

function ask(agent) {
  return new Promise((resolve, reject) => {
    const library = job.tls ? https : http;
    let sent;
    const request = library.request(
      { host: job.address, port: job.port, path: "/work", agent, rejectUnauthorized: false, ...versions },
      (response) => {
        const took = process.hrtime.bigint() - sent;
        response.resume();
        response.on("end", () => setImmediate(() => resolve(Number(took))));
      });
    request.on("finish", () => { sent = process.hrtime.bigint(); });
    request.on("error", reject);
    request.end();
  });
}

async function use() {
  const times = [];
  for (const share of job.shares) {
    const agent = new (job.tls ? https : http).Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < share; i++) times.push(await ask(agent));
    agent.destroy();
  }
  console.log(JSON.stringify({ times_ns: times }));
}

function stream(session) {
  return new Promise((resolve, reject) => {
    const sent = process.hrtime.bigint();
    const request = session.request({ ":path": "/work" });
    let took;
    request.on("response", () => { took = process.hrtime.bigint() - sent; });
    request.on("end", () => resolve(Number(took)));
    request.on("error", reject);
    request.resume();
    request.end();
  });
}

// `parallel` streams of a session at once.
async function useHttp2() {
  const times = [];
  for (const share of job.shares) {
    const url = `${job.tls ? "https" : "http"}://${job.address}:${job.port}`;
    const session = http2.connect(url, { rejectUnauthorized: false, ...versions });
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    let left = share;
    const chain = async () => { while (left-- > 0) times.push(await stream(session)); };
    await Promise.all(Array.from({ length: job.parallel }, chain));
    await new Promise((resolve) => session.close(resolve));
  }
  console.log(JSON.stringify({ times_ns: times }));
}

if (process.argv[2] === "serve") serve();
else (job.http2 ? useHttp2() : use());
