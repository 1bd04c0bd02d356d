// Shows a cell's widget with the widget manager that VS Code's Jupyter extension uses, on a page of JupyterLab
// that lends its connection to a kernel; what it showed before is removed. What the extension does for the manager
// is done here: it says where scripts are, and shows a view that the kernel displays.
//
// With `settled`, code that ends when the kernel has nothing more to tell, the page begins to listen after it.
// So it is in Colab: an output is a page of its own, which makes the model from the state that it had when it
// was opened (googlecolab/colab-cdn-widget-manager, manager.ts).
async ({ bundle, theme, colours, code, settled }) => {
	if (!window.vscIPyWidgets8) {
		const define = window.define;
		window.define = (name, make) => define(name, [], make);
		const { activate } = await import(URL.createObjectURL(new Blob([bundle], { type: "text/javascript" })));
		activate();
		window.vscIPyWidgets8.load();
		window.define = define;
	}

	document.body.className = theme;
	document.body.removeAttribute("data-jp-theme-light");
	for (const [name, value] of Object.entries(colours)) document.documentElement.style.setProperty(name, value);
	document.getElementById("output")?.remove();
	const output = document.createElement("div");
	output.id = "output";
	output.style = "position: fixed; inset: 0; z-index: 9; overflow: auto; background: var(--vscode-editor-background)";
	document.body.append(output);

	const { kernels } = window.jupyterapp.serviceManager;
	const kernel = (window.kernel = await kernels.startNew({ name: "python3" }));
	const run = async (code) => {
		const { content } = await kernel.requestExecute({ code }).done;
		if (content.status !== "ok") throw new Error(content.evalue);
	};
	const scripts = {
		widgetsRegisteredInRequireJs: new Set(),
		loadWidgetScript: (name) => requirejs.config({ paths: { [name]: `/nbextensions/${name}/index` } }),
		errorHandler: (...words) => console.error(...words.map(String)),
		successHandler: () => {},
	};
	const managed = (connection) => new window.vscIPyWidgets.WidgetManager(connection, output, scripts, () => {});
	const show = async (manager, shown) => {
		const view = await manager.create_view(await manager.get_model(shown.model_id), { el: output });
		await manager.display_view(shown, view, { node: output });
	};
	const displayed = ({ content }) => content.data?.["application/vnd.jupyter.widget-view+json"];

	if (!settled) {
		const manager = managed(kernel);
		kernel.iopubMessage.connect((_, message) => displayed(message) && show(manager, displayed(message)));
		return run(code);
	}
	const opened = new Map();
	let shown;
	kernel.registerCommTarget("jupyter.widget", () => {});
	kernel.iopubMessage.connect((_, message) => {
		if (message.header.msg_type === "comm_open") opened.set(message.content.comm_id, message.content.data.state);
		shown ??= displayed(message);
	});
	await run(code);
	await run(settled);
	const late = kernels.connectTo({ model: kernel.model, handleComms: true });
	const manager = managed(late);
	const models = new Map();
	const make = (id) => {
		const state = opened.get(id);
		const comm = late.createComm("jupyter.widget", id);
		const classic = {
			comm_id: id,
			send: (data, _callbacks, metadata, buffers) => comm.send(data, metadata, buffers).msg.header.msg_id,
			on_msg: (heard) => (comm.onMsg = heard),
			on_close: () => {},
		};
		const { _model_name: model_name, _model_module: model_module, _model_module_version: model_module_version } = state;
		return manager.new_model({ model_name, model_module, model_module_version, model_id: id, comm: classic }, state);
	};
	manager.get_model = (id) => models.get(id) ?? models.set(id, make(id)).get(id);
	return show(manager, shown);
};
