/** Options of public calls: checked all at once, unknown ones refused with what was probably meant. */
export { didYouMean } from './describe.js';
export {
  abortSignal,
  callback,
  checkArguments,
  checkFields,
  deviceName,
  field,
  fields,
  flag,
  kindOf,
  list,
  name,
  number,
  problemsOf,
  type Shape,
  text,
  texts,
  unknownFields,
  whole,
  word,
} from './fields.js';
