"use strict";
// A click on a picture shows it as large as the window allows; Escape or another click closes it.
(() => {
  const dialog = document.createElement("dialog");
  const image = document.createElement("img");
  const text = document.createElement("p");
  dialog.append(image, text);
  dialog.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  for (const button of document.querySelectorAll(".zoom")) {
    button.addEventListener("click", () => {
      const small = button.querySelector("img");
      [image.src, image.alt, text.textContent] = [small.src, small.alt, small.alt];
      dialog.showModal();
    });
  }
})();

// Plotly lies in this page packed; unpack it, then draw every figure in the page's own colours.
(async () => {
  if (!document.getElementById("plotly")) return;
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);

  const plots = [...document.querySelectorAll(".plot")].map((element) => {
    const figure = JSON.parse(element.querySelector("script").textContent);
    element.replaceChildren();
    return { element, figure };
  });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true };
    const template = {
      layout: {
        paper_bgcolor: colour("--card"), plot_bgcolor: colour("--card"),
        font: { color: colour("--ink"), family: getComputedStyle(document.body).fontFamily, size: 12 },
        colorway: ["--p2", "--p5", "--p4", "--p6", "--p3", "--p1"].map(colour),
        xaxis: axis, yaxis: axis, margin: { l: 56, r: 16, t: 28, b: 48 },
        legend: { orientation: "h", y: 1.12 }, hovermode: "closest",
      },
    };
    for (const { element, figure } of plots) {
      for (const label of figure.layout.annotations ?? []) label.bgcolor = colour("--card");
      Plotly.react(element, figure.data, { ...figure.layout, template, height: figure.layout.height ?? 352 }, { responsive: true, displayModeBar: false });
    }
  };
  draw();
  dark.addEventListener("change", draw);
})();
