// Runs in the report's page: its source is put there as text, so it may use nothing from outside itself but types.

import type { PageData } from './data.ts'

export type GraphView = {
  /** Colours the nodes for this target. */
  show(target: number): void
  /** Marks a node; brings it into view when asked. */
  select(node: number | null, bring: boolean): void
  /** Dims all but these nodes; null for none dimmed. */
  highlight(nodes: ReadonlySet<number> | null): void
  zoom(factor: number): void
  whole(): void
  redraw(): void
}

/** Level of severity: 0 same, 1–4 within the bound, 5–8 beyond it, −1 unknown. */
export type Level = (target: number, node: number) => number

/** Draws the graph on a canvas: only what is in view, without text where it would be too small to read. */
export function graphView(
  canvas: HTMLCanvasElement,
  data: PageData,
  level: Level,
  onSelect: (node: number) => void,
): GraphView {
  const { x, y, edges, width, height, nodeWidth: w, nodeHeight: h } = data.drawing
  const context = canvas.getContext('2d')!
  const view = { scale: 1, left: 0, top: 0 }
  let target = 0
  let selected: number | null = null
  let lit: ReadonlySet<number> | null = null
  let pending = false
  let fitted = true

  // All edges as one path in the graph's own units, with rounded bends.
  const path = new Path2D()
  for (const p of edges) {
    path.moveTo(p[0]!, p[1]!)
    for (let i = 2; i + 3 < p.length; i += 2) path.arcTo(p[i]!, p[i + 1]!, p[i + 2]!, p[i + 3]!, 7)
    path.lineTo(p.at(-2)!, p.at(-1)!)
  }

  const colours = (): string[] => {
    const style = getComputedStyle(document.documentElement)
    return ['none', 'exact', 's1', 's2', 's3', 's4', 'b1', 'b2', 'b3', 'b4'].map((v) =>
      style.getPropertyValue(`--${v}`).trim(),
    )
  }
  /** Black or white, whichever is read better on #rrggbb. */
  const inkOn = (colour: string): string => {
    const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(colour.slice(i, i + 2), 16))
    return 0.3 * r! + 0.59 * g! + 0.11 * b! > 140 ? '#111418' : '#ffffff'
  }

  const draw = (): void => {
    pending = false
    const ratio = devicePixelRatio || 1
    const [cw, ch] = [canvas.clientWidth, canvas.clientHeight]
    if (cw === 0) return
    if (canvas.width !== Math.round(cw * ratio) || canvas.height !== Math.round(ch * ratio)) {
      canvas.width = Math.round(cw * ratio)
      canvas.height = Math.round(ch * ratio)
      if (fitted) place()
    }
    const style = getComputedStyle(document.documentElement)
    const palette = colours()
    const inks = palette.map(inkOn)
    const { scale, left, top } = view
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, canvas.width, canvas.height)
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * left, ratio * top)
    context.strokeStyle = style.getPropertyValue('--bound').trim()
    context.globalAlpha = 0.7
    context.lineWidth = Math.max(1.2, 0.7 / scale)
    context.stroke(path)
    context.globalAlpha = 1
    const [x0, y0] = [(-left - 20) / scale - w, (-top - 20) / scale - h]
    const [x1, y1] = [(cw - left) / scale + w, (ch - top) / scale + h]
    const named = h * scale > 13
    const detailed = h * scale > 34
    const beyond: number[] = []
    context.textAlign = 'center'
    context.textBaseline = 'middle'
    const box = (i: number, l: number): void => {
      // Never smaller than three pixels: a fault in ten thousand nodes must be seen.
      const least = (l >= 5 ? 5 : 1.2) / scale
      const [bw, bh] = [Math.max(w, least), Math.max(h, least)]
      context.globalAlpha = lit && !lit.has(i) ? 0.18 : 1
      context.fillStyle = palette[l + 1]!
      context.beginPath()
      context.roundRect(x[i]! - bw / 2, y[i]! - bh / 2, bw, bh, scale > 0.15 ? 5 : 0)
      context.fill()
      if (i === selected) {
        const off = 3.5 / scale
        context.strokeStyle = style.getPropertyValue('--text').trim()
        context.lineWidth = 2 / scale
        context.beginPath()
        context.roundRect(x[i]! - bw / 2 - off, y[i]! - bh / 2 - off, bw + 2 * off, bh + 2 * off, 5 / scale)
        context.stroke()
      }
      if (!named) return
      context.fillStyle = inks[l + 1]!
      const node = data.nodes[i]!
      const room = w - 10
      if (detailed) {
        context.font = '600 9px system-ui, sans-serif'
        context.fillText(node.op, x[i]!, y[i]! - 8, room)
        context.font = '6.5px system-ui, sans-serif'
        context.fillText(node.name.slice(-40), x[i]!, y[i]! + 1.5, room)
        context.fillText(node.shape, x[i]!, y[i]! + 9.5, room)
      } else {
        context.font = '600 12px system-ui, sans-serif'
        context.fillText(node.op, x[i]!, y[i]! + 0.5, room)
      }
    }
    for (let i = 0; i < x.length; i++) {
      if (x[i]! < x0 || x[i]! > x1 || y[i]! < y0 || y[i]! > y1) continue
      const l = level(target, i)
      if (l >= 5 || i === selected) beyond.push(i)
      else box(i, l)
    }
    for (const i of beyond) box(i, level(target, i))
    context.globalAlpha = 1
  }
  const redraw = (): void => {
    if (!pending) requestAnimationFrame(draw)
    pending = true
  }
  const place = (): void => {
    const [cw, ch] = [canvas.clientWidth, canvas.clientHeight]
    const margin = 16
    view.scale = Math.min(1.6, (cw - 2 * margin) / width, (ch - 2 * margin) / height)
    view.left = (cw - width * view.scale) / 2
    view.top = (ch - height * view.scale) / 2
  }
  const whole = (): void => {
    fitted = true
    place()
    redraw()
  }
  const zoomAt = (factor: number, px: number, py: number): void => {
    const scale = Math.min(6, Math.max(0.005, view.scale * factor))
    const f = scale / view.scale
    view.left = px - (px - view.left) * f
    view.top = py - (py - view.top) * f
    view.scale = scale
    fitted = false
    redraw()
  }
  const bringToView = (i: number): void => {
    if (view.scale * h < 14) view.scale = 16 / h
    view.left = canvas.clientWidth / 2 - x[i]! * view.scale
    view.top = canvas.clientHeight / 2 - y[i]! * view.scale
    fitted = false
  }
  /** The node at a place of the canvas; a few pixels beside it count where nodes are small. */
  const nodeAt = (px: number, py: number): number | null => {
    const [gx, gy] = [(px - view.left) / view.scale, (py - view.top) / view.scale]
    const slack = 4 / view.scale
    let best: number | null = null
    let near = Infinity
    for (let i = 0; i < x.length; i++) {
      const [dx, dy] = [Math.abs(gx - x[i]!) - w / 2, Math.abs(gy - y[i]!) - h / 2]
      const far = Math.max(dx, dy)
      if (far < slack && far < near) {
        near = far
        best = i
      }
    }
    return best
  }

  const fingers = new Map<number, { x: number; y: number }>()
  let travelled = 0
  canvas.addEventListener('pointerdown', (e) => {
    fingers.set(e.pointerId, { x: e.offsetX, y: e.offsetY })
    travelled = 0
    canvas.setPointerCapture(e.pointerId)
  })
  canvas.addEventListener('pointermove', (e) => {
    const before = fingers.get(e.pointerId)
    if (!before) return
    const other = [...fingers].find(([id]) => id !== e.pointerId)?.[1]
    if (other) {
      const spread = (p: { x: number; y: number }): number => Math.hypot(p.x - other.x, p.y - other.y)
      const factor = spread({ x: e.offsetX, y: e.offsetY }) / Math.max(1, spread(before))
      zoomAt(factor, (e.offsetX + other.x) / 2, (e.offsetY + other.y) / 2)
    } else {
      view.left += e.offsetX - before.x
      view.top += e.offsetY - before.y
      fitted = false
      redraw()
    }
    travelled += Math.abs(e.offsetX - before.x) + Math.abs(e.offsetY - before.y)
    fingers.set(e.pointerId, { x: e.offsetX, y: e.offsetY })
  })
  const lift = (e: PointerEvent): void => {
    fingers.delete(e.pointerId)
    if (e.type === 'pointerup' && travelled < 5) {
      const node = nodeAt(e.offsetX, e.offsetY)
      if (node !== null) onSelect(node)
    }
  }
  canvas.addEventListener('pointerup', lift)
  canvas.addEventListener('pointercancel', lift)
  canvas.addEventListener(
    'wheel',
    (e) => {
      // A plain wheel scrolls the page; with Ctrl or Cmd (which a pinch on a touchpad sends) it zooms.
      if (!e.ctrlKey && !e.metaKey) return
      e.preventDefault()
      zoomAt(Math.exp(-e.deltaY / 200), e.offsetX, e.offsetY)
    },
    { passive: false },
  )
  canvas.addEventListener('keydown', (e) => {
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [60, 0],
      ArrowRight: [-60, 0],
      ArrowUp: [0, 60],
      ArrowDown: [0, -60],
    }
    const move = moves[e.key]
    if (move) {
      view.left += move[0]
      view.top += move[1]
      fitted = false
      redraw()
    } else if (e.key === '+' || e.key === '=') zoomAt(1.3, canvas.clientWidth / 2, canvas.clientHeight / 2)
    else if (e.key === '-') zoomAt(1 / 1.3, canvas.clientWidth / 2, canvas.clientHeight / 2)
    else if (e.key === '0') whole()
    else return
    e.preventDefault()
  })
  new ResizeObserver(redraw).observe(canvas)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw)
  place()
  redraw()
  return {
    show(t) {
      target = t
      redraw()
    },
    select(node, bring) {
      selected = node
      if (node !== null && bring) bringToView(node)
      redraw()
    },
    highlight(nodes) {
      lit = nodes
      redraw()
    },
    zoom: (factor) => zoomAt(factor, canvas.clientWidth / 2, canvas.clientHeight / 2),
    whole,
    redraw,
  }
}
