// Shows a cell's widget with the widget manager that VS Code's Jupyter extension uses, on a page of JupyterLab
// that lends its connection to a kernel. What the extension does for the manager is done here: it says where
// scripts are, and shows a view that the kernel displays.
async ({ bundle, theme, colours, code }) => {
	const define = window.define;
	window.define = (name, make) => define(name, [], make);
	const { activate } = await import(URL.createObjectURL(new Blob([bundle], { type: "text/javascript" })));
	activate();
	window.vscIPyWidgets8.load();
	window.define = define;

	document.body.className = theme;
	document.body.removeAttribute("data-jp-theme-light");
	for (const [name, value] of Object.entries(colours)) document.documentElement.style.setProperty(name, value);
	const output = document.createElement("div");
	output.style = "position: fixed; inset: 0; z-index: 9; overflow: auto; background: var(--vscode-editor-background)";
	document.body.append(output);

	const scripts = {
		widgetsRegisteredInRequireJs: new Set(),
		loadWidgetScript: (name) => requirejs.config({ paths: { [name]: `/nbextensions/${name}/index` } }),
		errorHandler: (...words) => console.error(...words.map(String)),
		successHandler: () => {},
	};
	const kernel = (window.kernel = await window.jupyterapp.serviceManager.kernels.startNew({ name: "python3" }));
	const manager = new window.vscIPyWidgets.WidgetManager(kernel, output, scripts, () => {});
	kernel.iopubMessage.connect(async (_, { content }) => {
		const shown = content.data?.["application/vnd.jupyter.widget-view+json"];
		if (!shown) return;
		const view = await manager.create_view(await manager.get_model(shown.model_id), { el: output });
		await manager.display_view(shown, view, { node: output });
	});
	const reply = await kernel.requestExecute({ code }).done;
	if (reply.content.status !== "ok") throw new Error(reply.content.evalue);
};
