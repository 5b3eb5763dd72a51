// Where pictures come from: drawn, dropped, pasted, picked, sampled. Whatever it was, `png()` gives one PNG blob. A PNG file goes to the server as
// it is; other formats, drawings and inverted pictures are re-encoded by the browser.

const LONGEST_SIDE = 1024; // of what the browser re-encodes

export class Picture extends EventTarget {
  #canvas; #file = null; #bitmap = null; #drawn = false; #invert = false;

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#listen();
    this.clear();
  }

  get empty() { return !this.#file && !this.#bitmap && !this.#drawn; }

  clear() {
    this.#file = this.#bitmap = null;
    this.#drawn = false;
    const c = this.#context();
    c.fillStyle = "#000";
    c.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  set invert(on) {
    this.#invert = on;
    if (this.#bitmap) this.#show();
    if (!this.empty) this.#changed();
  }

  /** A file or blob of any format that the browser reads. */
  async load(blob) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob);
    } catch {
      throw new Error(`${blob.name || "What was pasted"} is not a picture that this browser can read.`);
    }
    this.#bitmap = bitmap;
    this.#file = blob.type === "image/png" ? blob : null;
    this.#drawn = false;
    this.#show();
    this.#changed();
  }

  async png() {
    if (this.#file && !this.#invert) return this.#file;
    const source = this.#bitmap ? this.#resized() : this.#canvas;
    return new Promise((done) => source.toBlob(done, "image/png"));
  }

  #context() { return this.#canvas.getContext("2d", { willReadFrequently: true }); }
  #changed() { this.dispatchEvent(new Event("change")); }

  #paint(canvas, x, y, width, height) {
    const c = canvas.getContext("2d");
    c.filter = this.#invert ? "invert(1)" : "none";
    c.drawImage(this.#bitmap, x, y, width, height);
    c.filter = "none";
  }

  #resized() {
    const { width, height } = this.#bitmap, scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    this.#paint(canvas, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  #show() {
    const { width, height } = this.#canvas, scale = Math.min(width / this.#bitmap.width, height / this.#bitmap.height);
    const c = this.#context(), w = this.#bitmap.width * scale, h = this.#bitmap.height * scale;
    c.fillStyle = "#000";
    c.fillRect(0, 0, width, height);
    c.imageSmoothingEnabled = scale < 1;
    this.#paint(this.#canvas, (width - w) / 2, (height - h) / 2, w, h);
  }

  #listen() {
    const canvas = this.#canvas;
    let last = null;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
    };
    const stroke = (from, to) => {
      const c = this.#context();
      c.strokeStyle = "#fff";
      c.lineWidth = canvas.width / 13;
      c.lineCap = c.lineJoin = "round";
      c.beginPath();
      c.moveTo(...from);
      c.lineTo(...to);
      c.stroke();
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (this.#file || this.#bitmap) this.clear(); // drawing starts afresh
      canvas.setPointerCapture(event.pointerId);
      last = at(event);
      stroke(last, last);
      this.#drawn = true;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const to = at(event);
      stroke(last, to);
      last = to;
      this.#changed();
    });
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, () => {
        if (last) this.#changed();
        last = null;
      });
  }
}
