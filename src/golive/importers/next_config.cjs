// Run by next_config.py: node next_config.cjs <next.config.*> <mark>. Writes what the configuration gives, as JSON.
// Exit 3: it failed, with the reason on stderr. Exit 4: TypeScript that nothing here can read.
'use strict';
const fs = require('fs');
const path = require('path');
const Module = require('module');
const { pathToFileURL, fileURLToPath } = require('url');
const [file, mark] = process.argv.slice(2);
const root = path.dirname(file);
// Next.js compiles TypeScript to CommonJS, which has these.
Object.assign(globalThis, { __dirname: root, __filename: file, require: Module.createRequire(file) });

const deny = () => { throw new Error('golive: the network is off while next.config is read'); };
for (const [name, keys] of [['net', ['connect', 'createConnection', 'createServer']], ['tls', ['connect']],
  ['http', ['request', 'get']], ['https', ['request', 'get']], ['http2', ['connect']], ['dgram', ['createSocket']],
  ['dns', ['lookup', 'resolve']]]) {
  const module = require(name);
  for (const key of keys) module[key] = deny;
}
require('net').Socket.prototype.connect = deny;
globalThis.fetch = async () => deny();
Module.syncBuiltinESMExports();
for (const key of ['log', 'info', 'debug', 'warn']) console[key] = () => {};

const typed = /\.[mc]?tsx?$/;
const endings = ['.ts', '.tsx', '.mts', '.js', '.mjs', '.json', '/index.ts', '/index.js'];
const isFile = (name) => { try { return fs.statSync(name).isFile(); } catch { return false; } };
const complete = (name) => {
  const bare = name.replace(/\.js$/, '');  // TypeScript writes ./env.js for ./env.ts
  return [name, ...endings.map((ending) => name + ending), ...endings.map((ending) => bare + ending)].find(isFile);
};

/** The file that a path of tsconfig.json (`@/*`) or a relative one without its ending stands for. */
const aliases = (() => {
  try {
    const text = fs.readFileSync(path.join(root, 'tsconfig.json'), 'utf8');
    const bare = text.replace(/("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, '$1').replace(/,(\s*[}\]])/g, '$1');
    const { baseUrl = '.', paths = {} } = JSON.parse(bare).compilerOptions || {};
    return Object.entries(paths).map(([from, [to]]) => [from.replace(/\*$/, ''), path.resolve(root, baseUrl, to.replace(/\*$/, ''))]);
  } catch { return []; }
})();
const locate = (asked, from) => {
  if (/^\.{0,2}\//.test(asked)) return complete(path.resolve(from, asked));
  for (const [prefix, to] of aliases)
    if (prefix && asked.startsWith(prefix)) return complete(path.join(to, asked.slice(prefix.length)));
};

/** The project's own TypeScript, as Next.js uses it: to CommonJS, file by file. */
const own = (() => {
  try { return require(require.resolve('typescript', { paths: [root] })); } catch { return null; }
})();
const withOwn = () => {
  const compilerOptions = { module: own.ModuleKind.CommonJS, target: own.ScriptTarget.ES2022, esModuleInterop: true, jsx: 4 };
  for (const ending of ['.ts', '.tsx', '.mts', '.cts'])
    Module._extensions[ending] = (module, name) => {
      const { outputText } = own.transpileModule(fs.readFileSync(name, 'utf8'), { compilerOptions, fileName: name });
      module._compile(outputText, name);
    };
  const before = Module._resolveFilename;
  Module._resolveFilename = function (asked, parent, ...rest) {
    try { return before.call(this, asked, parent, ...rest); } catch (error) {
      const found = locate(asked, parent && parent.filename ? path.dirname(parent.filename) : root);
      if (found) return found;
      throw error;
    }
  };
  return require(file);
};

/** Node's own, which takes the types out; `transform`, for enums, is not in every version. */
const stripped = (text) => {
  try { return Module.stripTypeScriptTypes(text, { mode: 'transform' }); } catch { return Module.stripTypeScriptTypes(text); }
};
const withNode = () => {
  Module.registerHooks({
    resolve(asked, context, next) {
      try { return next(asked, context); } catch (error) {
        const from = context.parentURL ? path.dirname(fileURLToPath(context.parentURL)) : root;
        const found = locate(asked, from);
        if (found) return { url: pathToFileURL(found).href, shortCircuit: true };
        throw error;
      }
    },
    load(url, context, next) {
      if (!typed.test(url)) return next(url, context);
      const source = stripped(fs.readFileSync(fileURLToPath(url), 'utf8'));
      return { format: 'module', source, shortCircuit: true };
    },
  });
  return import(pathToFileURL(file).href);
};

const load = () => {
  if (!typed.test(file) && !own && !Module.registerHooks) return import(pathToFileURL(file).href);
  if (typed.test(file) && own) return withOwn();
  if (Module.registerHooks && Module.stripTypeScriptTypes) return withNode();
  if (typed.test(file)) process.exit(4);
  return import(pathToFileURL(file).href);
};

const plain = (value, depth = 0) => {
  if (typeof value === 'function') return '[function]';
  if (value instanceof RegExp) return String(value);
  if (depth > 12) return '[deep]';
  if (Array.isArray(value)) return value.slice(0, 2000).map((item) => plain(item, depth + 1));
  if (value && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).slice(0, 2000).map(([key, item]) => [key, plain(item, depth + 1)]));
  return typeof value === 'bigint' || typeof value === 'symbol' ? String(value) : value;
};
(async () => {
  const loaded = await load();
  let config = loaded.default && loaded.default.default ? loaded.default.default : loaded.default || loaded;
  if (typeof config === 'function') config = await config('phase-production-build', { defaultConfig: {} });
  const made = { ...config };
  for (const key of ['redirects', 'rewrites', 'headers'])
    if (typeof made[key] === 'function') made[key] = await made[key]();
  process.stdout.write('\n' + mark + JSON.stringify(plain(made)) + '\n', () => process.exit(0));
})().catch((error) => { process.stderr.write(String(error && error.message || error)); process.exit(3); });
