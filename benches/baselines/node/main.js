// The function `decrease`, as Lambda would start it.
import { charge } from "./decrease.js";
import { serve } from "./runtime.js";

serve(charge);
