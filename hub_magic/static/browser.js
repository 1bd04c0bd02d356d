// The cache browser's front end: one ES module, run by anywidget.
//
// Everything from the kernel is data and becomes text nodes, never markup. Rows are kept as columns, and only
// the rows in view are in the document. Requests to the kernel name rows by number.

const ROW = 32; // pixels, as in browser.css
const COLUMNS = {
	name: "Model", publisher: "Publisher", kind: "Kind", size: "Size", downloaded: "Downloaded", used: "Last used", state: "State",
};
const KEYS = Object.keys(COLUMNS);
const LARGEST_FIRST = ["size", "downloaded", "used"];
const FIELDS = [...KEYS, "id", "handle", "version", "note"];
const STATES = { whole: "OK", damaged: "Damaged", locked: "Locked", loaded: "In use" };
const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];
const AGES = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]];

// Text:

const number = new Intl.NumberFormat("en").format;
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format;
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

function size(count) {
	if (!(count >= 0)) return "";
	let [value, unit] = [count, 0];
	for (; value >= (unit ? 999.95 : 1000) && UNITS[unit + 1]; unit++) value /= 1000;
	return unit ? `${value.toFixed(1)} ${UNITS[unit]}` : plural(count, "byte");
}

function age(seconds) {
	if (!seconds) return "";
	const past = Date.now() / 1000 - seconds;
	const [unit, length] = AGES.find(([, length]) => past >= length) ?? [];
	return unit ? `${plural(Math.floor(past / length), unit)} ago` : "just now";
}

const moment = (seconds) => (seconds ? clock(seconds * 1000) : "");

// Digits are padded, so that dim50 comes before dim128.
const sortable = (words) => words.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(9, "0"));

// Elements:

function h(tag, properties, ...children) {
	const [name, ...classes] = tag.split(".");
	const element = document.createElement(name);
	element.className = classes.join(" ");
	for (const [key, value] of Object.entries(properties ?? {})) {
		if (key in element) element[key] = value;
		else element.setAttribute(key, value);
	}
	element.append(...children.filter(Boolean));
	return element;
}

const muted = (words) => h("span.hm-muted", null, words);
const bdi = (words) => h("bdi", null, words);

function text(element, words) {
	if (element.textContent !== words) element.textContent = words;
}

function button(label, onclick, properties, kind = "") {
	return h(`button.hm-button${kind}`, { type: "button", onclick, ...properties }, label);
}

function fit(list, count, make) {
	while (list.children.length > count) list.lastChild.remove();
	for (let i = list.children.length; i < count; i++) list.append(make(i));
}

function showProgress(bar, { title, done, total }) {
	bar.setAttribute("aria-label", title);
	bar.max = total || 1;
	if (total) bar.value = done;
	else bar.removeAttribute("value");
}

// The kernel's news, shared by the views of one widget.
class Store {
	listeners = new Set();
	asked = new Map();
	count = 0;

	constructor(model) {
		this.model = model;
		this.load(model.get("data"));
		model.on("msg:custom", (message) => this.take(message));
		this.hello();
	}

	// A page may begin to listen late. The kernel sends everything to a page that is behind.
	hello() {
		this.model.send({ do: "hello", revision: this.data.revision });
	}

	load(data) {
		this.data = data; // the widget's own state, changed in place because a notebook saves it
		this.rows = data.rows ??= {};
		for (const field of FIELDS) this.rows[field] ??= [];
		this.jobs = new Map(data.jobs?.map((job) => [job.number, job]));
		this.selected = new Set(data.selected);
		this.renew();
	}

	renew() {
		this.at = new Map(this.rows.id.map((id, index) => [id, index]));
		this.names = this.hay = null;
	}

	tell(what, detail) {
		for (const listener of this.listeners) listener(what, detail);
	}

	// A promise of the kernel's answer.
	ask(message) {
		const ask = ++this.count;
		const late = () => this.tell("say", "Waiting for the kernel…");
		return new Promise((resolve, reject) => {
			this.asked.set(ask, { resolve, reject, timer: setTimeout(late, 1500) });
			this.model.send({ ...message, ask });
		});
	}

	take(message) {
		const waiting = this.asked.get(message.re);
		if (waiting) {
			this.asked.delete(message.re);
			clearTimeout(waiting.timer);
			if (message.error) waiting.reject(message.error);
			else waiting.resolve(message);
		} else if (message.event === "patch") this.patch(message);
		else if (message.event === "all") this.anew(message.data);
		else if (message.event === "job") this.move(message.job);
		else if (message.event === "selected") {
			this.selected = new Set(message.rows);
			this.tell("selection");
		}
	}

	anew(data) {
		if (data.revision <= this.data.revision) return;
		this.isBehind = false;
		this.load(Object.assign(this.data, data));
		this.tell("rows", true);
		this.tell("jobs");
	}

	patch({ revision, header, new: added, changed, gone }) {
		const { data, rows } = this;
		if (revision <= data.revision) return;
		if (revision > data.revision + 1) {
			this.isBehind ||= !this.hello();
			return;
		}
		Object.assign(data, { revision, header });
		if (gone.length) {
			const lost = new Set(gone);
			const stays = rows.id.map((id) => !lost.has(id));
			for (const field of FIELDS) rows[field] = rows[field].filter((_, index) => stays[index]);
			for (const id of gone) this.selected.delete(id);
			this.renew();
		}
		for (const part of [added, changed]) {
			part.id?.forEach((id, position) => {
				if (!this.at.has(id)) this.at.set(id, rows.id.length);
				const index = this.at.get(id);
				for (const field of FIELDS) if (part[field]) rows[field][index] = part[field][position];
			});
		}
		const isOther = gone.length > 0 || !!added.id;
		if (isOther) this.renew();
		this.tell("rows", isOther);
	}

	move(job) {
		const isOver = job.state !== "running";
		if (isOver) this.jobs.delete(job.number);
		else this.jobs.set(job.number, job);
		this.tell("jobs");
		if (isOver) this.tell("over", job.text);
	}

	// The positions of the rows that contain all the words, in the order of a column.
	order(words, column, isUp) {
		const { rows } = this;
		this.hay ??= rows.handle.map((handle, i) => `${handle} ${rows.publisher[i]} ${rows.name[i]}`.toLowerCase());
		this.names ??= rows.name.map((name, i) => sortable(`${name} ${rows.version[i]}`));
		const { hay, names } = this;
		const keys = column === "name" ? names : rows[column];
		const sign = isUp ? 1 : -1;
		const found = [];
		for (let i = 0; i < hay.length; i++) if (words.every((word) => hay[i].includes(word))) found.push(i);
		return found.sort((a, b) => (keys[a] < keys[b] ? -sign : keys[a] > keys[b] ? sign : names[a] < names[b] ? -1 : 1));
	}
}

let views = 0;

class View {
	name = `hub-magic-${++views}`;
	column = "name";
	isUp = true;
	words = [];

	constructor(store, root) {
		this.store = store;
		this.root = root;
		this.active = this.anchor = 0; // row numbers of the keyboard's place, and of the start of a range
		this.build();
		store.listeners.add(this.hear);
		this.watch = new ResizeObserver(() => this.draw());
		this.watch.observe(this.scroller);
		this.hear("rows", true);
		this.showJobs();
	}

	close() {
		this.store.listeners.delete(this.hear);
		this.watch.disconnect();
	}

	hear = (what, detail) => {
		if (what === "say") this.say(detail);
		else if (what === "jobs") this.showJobs();
		else if (what === "selection") this.showSelection();
		else if (what === "over") {
			this.say(detail);
			this.described = 0;
			this.showSelection();
		} else {
			this.showHeader();
			if (detail || this.column !== "name") this.arrange();
			else this.later();
			this.showSelection();
		}
	};

	say(words) {
		text(this.status, words);
	}

	build() {
		const { root } = this;
		this.heads = KEYS.map((key) => h(`th.hm-${key}`, { scope: "col" }, h("button", { type: "button", onclick: () => this.sort(key) }, COLUMNS[key])));
		this.body = h("tbody");
		this.table = h("table",
			{ role: "grid", tabIndex: 0, "aria-label": "Cached models", "aria-multiselectable": "true", onkeydown: (event) => this.press(event), onclick: (event) => this.click(event) },
			h("thead", null, h("tr", { "aria-rowindex": 1 }, ...this.heads)), this.body);
		this.table.onmousedown = (event) => event.shiftKey && event.preventDefault(); // else the click selects text
		this.window = h("div.hm-window", null, this.table);
		this.canvas = h("div.hm-canvas", null, this.window);
		this.scroller = h("div.hm-scroller", { onscroll: () => this.later() }, this.canvas);
		this.empty = h("p.hm-empty");
		this.path = h("code.hm-path");
		this.facts = h("div.hm-muted");
		this.disk = h("span.hm-disk", { role: "img" }, h("i"), h("i"));
		this.free = h("span");
		this.count = muted("");
		const field = (label, properties) => h("input", { type: "text", spellcheck: false, placeholder: label, "aria-label": label, ...properties });
		this.filter = field("Filter by name or handle", { type: "search", oninput: () => this.search() });
		this.handle = field("Model URL, e.g. https://tfhub.dev/google/yamnet/1");
		this.picked = h("div.hm-picked", { role: "group", "aria-label": "Selected models" });
		this.details = h("section", { "aria-label": "Details" });
		this.problems = h("details.hm-problems");
		this.work = h("div.hm-jobs");
		this.status = h("div.hm-status", { role: "status" });
		this.dialog = h("dialog", { "aria-labelledby": `${this.name}-title`, onclose: () => this.table.focus() });
		const onsubmit = async (event) => {
			event.preventDefault();
			if (await this.ask({ do: "fetch", handle: this.handle.value })) this.handle.value = "";
		};
		root.append(
			h("div.hm-head", null,
				h("div.hm-where", null, this.path, this.copier("Copy the location", () => this.path.textContent)),
				h("div.hm-room", null, this.disk, this.free),
				this.facts),
			h("div.hm-tools", null,
				h("div.hm-filter", null, this.filter, this.count),
				h("div.hm-acts", null,
					button("Refresh", () => this.ask({ do: "refresh" })),
					button("Verify all", () => this.ask({ do: "verify" })),
					button("Prune…", () => this.askSize())),
				h("form.hm-fetch", { onsubmit }, this.handle, h("button.hm-button", { type: "submit" }, "Fetch"))),
			this.scroller, this.empty, this.picked, this.details, this.problems, this.work, this.status, this.dialog);
		root.setAttribute("role", "region");
		root.setAttribute("aria-label", "Model cache");
		// Keys pressed here must not run notebook commands of JupyterLab or VS Code.
		root.setAttribute("data-lm-suppress-shortcuts", "true");
		root.onkeydown = (event) => event.stopPropagation();
	}

	copier(label, what) {
		const copy = async () => navigator.clipboard.writeText(what());
		const sorry = () => this.say("The browser blocked copying. Select the text and press Ctrl+C.");
		return button("Copy", () => copy().then(() => this.say("Copied."), sorry), { "aria-label": label });
	}

	// The kernel's answer; undefined after an error, which is announced.
	async ask(message) {
		try {
			return await this.store.ask(message);
		} catch (error) {
			this.say(String(error));
		}
	}

	// The table:

	sort(column) {
		this.isUp = column === this.column ? !this.isUp : !LARGEST_FIRST.includes(column);
		this.column = column;
		this.arrange();
	}

	search() {
		this.words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
		this.scroller.scrollTop = 0;
		this.arrange();
		this.say(this.words.length ? `${plural(this.list.length, "model")} found.` : "");
	}

	arrange() {
		const all = this.store.rows.id.length;
		this.list = this.store.order(this.words, this.column, this.isUp);
		KEYS.forEach((key, i) => this.heads[i].setAttribute("aria-sort", key !== this.column ? "none" : this.isUp ? "ascending" : "descending"));
		text(this.count, this.words.length ? `${number(this.list.length)} of ${number(all)}` : "");
		this.empty.hidden = this.list.length > 0;
		text(this.empty, all ? `No models match "${this.filter.value}".` : "No models cached yet. Models you load with hub.load or fetch above appear here.");
		this.draw();
	}

	later() {
		this.frame ??= requestAnimationFrame(() => this.draw());
	}

	// Keep only the rows in view in the document.
	draw() {
		cancelAnimationFrame(this.frame);
		this.frame = undefined;
		const { store, scroller, body, table } = this;
		const jobs = this.fetching();
		const count = this.list.length + jobs.length;
		const whole = (count + 1) * ROW;
		this.largest = store.rows.size.reduce((most, one) => Math.max(most, one), 1);
		scroller.hidden = !count;
		scroller.style.setProperty("--hm-rows", Math.min(Math.max(count, 3), 10));
		const height = scroller.clientHeight;
		this.canvas.style.height = `${whole}px`;
		this.window.style.height = `${Math.min(height, whole)}px`;
		const top = Math.max(0, Math.min(scroller.scrollTop, whole - height));
		const first = Math.floor(top / ROW);
		const visible = Math.max(0, Math.min(count - first, Math.ceil(height / ROW) + 1));
		fit(body, visible, (position) => this.row(position));
		body.style.transform = `translateY(${first * ROW - top}px)`;
		table.setAttribute("aria-rowcount", count + 1);
		table.removeAttribute("aria-activedescendant");
		for (let i = 0; i < visible; i++) {
			const at = first + i;
			body.rows[i].setAttribute("aria-rowindex", at + 2);
			if (at < jobs.length) this.fillJob(body.rows[i], jobs[at]);
			else this.fill(body.rows[i], this.list[at - jobs.length]);
		}
	}

	row(position) {
		const cells = KEYS.map((key) => h(`td.hm-${key}`));
		cells[0].append(h("div", null, bdi(""), h("span.hm-version")));
		cells[3].append(h("i.hm-bar", null, h("i")), h("span"));
		cells[6].append(h("i"), h("span"), h("progress"));
		return h("tr", { id: `${this.name}-${position}` }, ...cells);
	}

	fill(line, at) {
		const it = {};
		for (const field of FIELDS) it[field] = this.store.rows[field][at];
		if (it.id === this.active) this.table.setAttribute("aria-activedescendant", line.id);
		this.write(line, it, STATES[it.state]);
	}

	fillJob(line, job) {
		const label = job.total ? `${Math.floor((100 * job.done) / job.total)} %` : "Waiting";
		this.write(line, { name: job.subject, handle: job.title, size: job.total || -1, note: job.note }, label, job);
	}

	write(line, it, label, job) {
		const [name, publisher, kind, bytes, downloaded, used, state] = line.cells;
		const [dot, word, bar] = state.children;
		const [track, amount] = bytes.children;
		line.number = it.id;
		line.className = it.id && it.id === this.active ? "hm-active" : "";
		line.setAttribute("aria-selected", this.store.selected.has(it.id));
		text(name.firstChild.firstChild, it.name);
		text(name.firstChild.lastChild, it.version ?? "");
		name.title = it.handle;
		text(publisher, it.publisher ?? "");
		text(kind, it.kind ?? "");
		text(amount, size(it.size));
		track.hidden = it.size < 0 || job;
		track.firstChild.style.width = `${(100 * it.size) / this.largest}%`;
		for (const [cell, time] of [[downloaded, it.downloaded], [used, it.used]]) {
			text(cell, age(time));
			cell.title = moment(time);
		}
		dot.className = `hm-dot hm-is-${it.state}`;
		dot.hidden = !it.state;
		text(word, label ?? "");
		state.title = it.note ?? "";
		bar.hidden = !job;
		if (job) showProgress(bar, job);
	}

	fetching() {
		return [...this.store.jobs.values()].filter((job) => job.subject);
	}

	// Selection:

	get rows() {
		return this.list.map((at) => this.store.rows.id[at]);
	}

	get chosen() {
		return [...this.store.selected];
	}

	click(event) {
		const id = event.target.closest("tbody tr")?.number;
		if (!id) return;
		this.active = id;
		if (event.shiftKey) this.range(id);
		else if (event.ctrlKey || event.metaKey) this.toggle(id);
		else this.choose([id], id);
		this.table.focus({ preventScroll: true });
	}

	toggle(id) {
		this.choose(this.store.selected.has(id) ? this.chosen.filter((one) => one !== id) : [...this.chosen, id], id);
	}

	range(id) {
		const { rows } = this;
		const [from, to] = [Math.max(rows.indexOf(this.anchor), 0), rows.indexOf(id)].sort((a, b) => a - b);
		this.choose(rows.slice(from, to + 1));
	}

	choose(ids, anchor = this.anchor) {
		this.anchor = anchor;
		this.store.selected = new Set(ids);
		this.store.tell("selection");
		clearTimeout(this.telling);
		this.telling = setTimeout(() => this.ask({ do: "select", rows: this.chosen }), 60);
	}

	press(event) {
		if (event.target !== this.table) return;
		const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW) - 2);
		const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
		const isCommand = event.ctrlKey || event.metaKey;
		if (step) this.step(step, event.shiftKey, isCommand);
		else if (event.key === " ") this.active && this.toggle(this.active);
		else if (event.key === "a" && isCommand) this.choose(this.rows);
		else if (event.key === "Escape") this.choose([]);
		else if (event.key === "Delete" || event.key === "Backspace") this.askRemoval();
		else if (event.key === "/") this.filter.focus();
		else return;
		event.preventDefault();
	}

	step(by, isRange, isMove) {
		const { rows, scroller } = this;
		if (!rows.length) return;
		const from = rows.indexOf(this.active);
		const to = Math.max(0, Math.min(from < 0 && by < 2 ? 0 : from + by, rows.length - 1));
		const top = (to + this.fetching().length) * ROW;
		this.active = rows[to];
		scroller.scrollTop = Math.min(Math.max(scroller.scrollTop, top + 2 * ROW - scroller.clientHeight), top);
		if (isRange) this.range(this.active);
		else if (isMove) this.draw();
		else this.choose([this.active], this.active);
	}

	showSelection() {
		const { rows, at } = this.store;
		const ids = this.chosen.filter((id) => at.has(id));
		const bytes = ids.reduce((sum, id) => sum + Math.max(rows.size[at.get(id)], 0), 0);
		const only = ids.length === 1 ? ids[0] : 0;
		if (!this.label) {
			const act = (name, more) => () => this.ask({ do: name, rows: this.chosen, ...more });
			this.label = bdi("");
			this.amount = muted("");
			this.repair = button("Repair", act("repair"));
			this.picked.append(
				h("span", null, this.label, this.amount),
				button("Verify", act("verify")),
				button("Verify contents", act("verify", { deep: true }), { title: "Reads every byte; takes a while" }),
				this.repair,
				button("Remove…", () => this.askRemoval(), null, ".hm-danger"));
		}
		this.picked.hidden = !ids.length;
		text(this.label, only ? rows.name[at.get(only)] : plural(ids.length, "model"));
		text(this.amount, size(bytes));
		this.repair.hidden = !ids.some((id) => rows.state[at.get(id)] === "damaged");
		this.later();
		if (only === this.described) return;
		this.described = only;
		clearTimeout(this.describing);
		if (only) this.describing = setTimeout(() => this.describe(only), 80);
		else this.details.replaceChildren();
	}

	async describe(id) {
		const reply = await this.ask({ do: "describe", rows: [id] });
		if (!reply || this.described !== id) return;
		const it = reply.details;
		const isLink = /^https?:\/\//.test(it.link);
		const copied = (words, label) => [h("code", null, bdi(words)), this.copier(label, () => words)];
		const list = h("dl");
		const tell = (term, ...content) => {
			if (content.some(Boolean)) list.append(h("dt", null, term), h("dd", null, ...content));
		};
		tell("Load", ...copied(it.code, "Copy the code"));
		tell("Handle", isLink ? h("a", { href: it.link, target: "_blank", rel: "noopener noreferrer" }, it.handle) : it.handle && bdi(it.handle));
		tell("Path", ...copied(it.path, "Copy the path"));
		tell("Downloaded", moment(it.downloaded), it.host && " by ", it.host && bdi(it.host));
		tell("Damaged", it.damage && h("span.hm-danger", null, it.damage));
		tell("Written by", it.tensorflow && `TensorFlow ${it.tensorflow}`);
		tell("Signatures", ...it.signatures.map(signature), it.unread);
		tell("Assets", it.assets.join(", "));
		tell("Files", lines(it.files, it.file_count, size));
		this.details.replaceChildren(list);
	}

	// Removing:

	async askRemoval() {
		if (!this.chosen.length) return this.say("Select the models to remove first.");
		const reply = await this.ask({ do: "plan remove", rows: this.chosen });
		if (reply) this.confirm(reply.plan);
	}

	askSize() {
		const field = h("input", { value: "5 GB", "aria-label": "Cache size" });
		const problem = h("p.hm-danger", { role: "alert" });
		const onsubmit = async (event) => {
			event.preventDefault();
			const reply = await this.ask({ do: "plan prune", size: field.value });
			if (reply) this.confirm(reply.plan);
			else text(problem, this.status.textContent);
		};
		this.open("Free up space",
			h("form", { onsubmit },
				h("p", null, "Remove the least recently used models until the cache takes at most ", field),
				problem,
				this.answers(h("button.hm-button", { type: "submit" }, "Preview"))));
	}

	confirm(plan) {
		const act = () => {
			this.dialog.close();
			this.ask({ do: "carry out", plan: plan.number });
		};
		const { count, kept_count: stay } = plan;
		this.open(count ? `Remove ${plural(count, "model")}?` : `Nothing to remove: the models take ${size(plan.left)}.`,
			count && lines(plan.going, count, size),
			count && h("p", null, `Frees ${size(plan.size)}; ${size(plan.left)} of models stay. This cannot be undone; hub.load downloads them again.`),
			stay && h("p", null, "Kept:"),
			stay && lines(plan.kept, stay, String),
			this.answers(count && button("Remove", act, null, ".hm-danger.hm-main")));
	}

	answers(act) {
		return h("div.hm-answers", null, button(act ? "Cancel" : "Close", () => this.dialog.close()), act);
	}

	open(title, ...content) {
		this.dialog.replaceChildren(h("h2", { id: `${this.name}-title` }, title), ...content.filter(Boolean));
		if (!this.dialog.open) this.dialog.showModal();
		this.dialog.querySelector("input, button").focus();
	}

	// Around the table:

	showHeader() {
		const { rows, data } = this.store;
		const { location, mode, count, looked, free, disk, problems, troubles } = data.header;
		const bytes = rows.size.reduce((sum, one) => sum + Math.max(one, 0), 0);
		const damaged = rows.state.filter((state) => state === "damaged").length;
		const rest = looked < count ? "measuring sizes…" : damaged && `${number(damaged)} damaged`;
		text(this.path, location);
		text(this.facts, [plural(count, "model"), looked >= count && size(bytes), `downloads: ${mode}`, rest].filter(Boolean).join(" · "));
		text(this.free, free < 0 ? "" : `${size(free)} free`);
		this.disk.hidden = disk <= 0 || free < 0;
		const [models, others] = this.disk.children;
		models.style.width = `${(100 * bytes) / disk}%`;
		others.style.width = `${(100 * Math.max(disk - free - bytes, 0)) / disk}%`;
		this.disk.title = `Disk: ${size(disk)}; models: ${size(bytes)}; free: ${size(free)}.`;
		this.problems.hidden = !troubles;
		const told = JSON.stringify(problems);
		if (told === this.told) return; // else the focus is lost
		this.told = told;
		this.problems.replaceChildren(
			h("summary", null, plural(troubles, "other problem")),
			lines(problems.map((one) => [`${one.kind}: ${one.where}: ${one.reason}`, one.size]), troubles, (bytes) => bytes && size(bytes)),
			button("Repair", () => this.ask({ do: "repair" })));
	}

	showJobs() {
		const { work } = this;
		const running = [...this.store.jobs.values()];
		fit(work, running.length, () => {
			const line = h("div", null, h("span"), h("progress"), button("Cancel", () => this.ask({ do: "cancel", job: line.number })));
			return line;
		});
		running.forEach((job, i) => {
			const [label, bar, cancel] = work.children[i].children;
			const amount = job.unit === "bytes" ? size : number;
			const far = [job.done, job.total].filter(Boolean).map(amount).join(" of ");
			work.children[i].number = job.number;
			text(label, [job.title, far, job.note].filter(Boolean).join(" · "));
			cancel.setAttribute("aria-label", `Cancel: ${job.title}`);
			showProgress(bar, job);
		});
		this.later();
	}
}

function signature({ name, inputs, outputs }) {
	const side = (tensors) => h("div", null, ...tensors.map(([label, kind]) => h("div", null, bdi(label), " ", muted(kind))));
	return h("div.hm-signature", null, h("strong", null, bdi(name)), side(inputs), muted("→"), side(outputs));
}

// Pairs of a name and `tell`'s text about it, and the number of further items.
function lines(pairs, count, tell) {
	const rest = count - pairs.length;
	const line = ([name, fact]) => h("li", null, bdi(name), muted(tell(fact)));
	return h("ul.hm-lines", { tabIndex: 0 }, ...pairs.map(line), rest > 0 && h("li", null, `and ${number(rest)} more`));
}

// anywidget's entry, once for each widget.
export default () => {
	let store;
	return {
		initialize({ model }) {
			store = new Store(model);
		},
		render({ el }) {
			const root = h(`div.hub-magic${globalThis.google?.colab ? ".hm-colab" : ""}`);
			el.append(root);
			const view = new View(store, root);
			return () => view.close();
		},
	};
};
